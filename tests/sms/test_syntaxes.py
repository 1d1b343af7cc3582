"""The catalogue's replies: the published ones to the character, the others by what they must tell."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from billing.models import Invoice
from evncare.periods import Period
from outages.models import Outage
from sms import gsm7, syntaxes
from sms.models import Outcome
from sms.parser import parse
from sms.syntaxes import Answer
from tests import factories
from tests.factories import CODE, NOW, VIETNAM

pytestmark = pytest.mark.django_db

PUBLISHED = {
    f"LGD {CODE} 1 10 2016": (
        "EVNCPC thong bao lich ghi dien Ky: 1, Thang: 10, Nam: 2016 cua khach hang la ngay: 10/6/2016. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    f"CS {CODE} 1 10 2016": (
        "EVNCPC thong bao chi so cua khach hang PP05000974006, BCS: KT, HSN: 1, chi so cu: 9618, chi so moi: 10004, "
        "dien nang tieu thu: 386. Xin cam on quy khach."
    ),
    f"TD {CODE} 1 10 2016": (
        "EVNCPC thong bao tien dien Ky 1 Thang 10 Nam 2016 cua khach hang la 500550 dong. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    f"NTD {CODE}": (
        "EVNCPC thong bao no tien dien cua khach hang Ky 1 Thang 10 Nam 2016: Tien no: 650000, thue no: 65000, "
        "tong cong: 715000. Xin cam on quy khach."
    ),
    f"LCD {CODE}": (
        "EVNCPC thong bao lich tam ngung cung cap dien cua quy khach la tu: 01/10/2016 9:30 den: 20/10/2016 15:00. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    "TC": (
        "1.LichGhiDien\nLGD_MaKH_ky_thang_nam\n2.ChiSoTieuThu\nCS_MaKH_ky_thang_nam\n3.TienDien\n"
        "TD_MaKH_ky_thang_nam\n4.NoTienDien\nNTD_MaKH\n5.LichCatDien\nLCD_MaKH"
    ),
}


def ask(text: str, at: datetime = NOW) -> Answer:
    [answer] = syntaxes.answer([parse(text, syntaxes.grammar())], at)
    size = gsm7.measure(answer.text)
    assert size.encoding == gsm7.GSM_7
    assert size.segments <= 3
    return answer


@pytest.mark.parametrize("text", PUBLISHED)
def test_the_published_questions_get_the_published_replies_in_one_segment(text):
    factories.everything_published()
    answer = ask(text)
    assert answer.text == PUBLISHED[text]
    assert (answer.outcome, answer.charge) == (Outcome.ANSWERED, True)
    assert gsm7.measure(answer.text).segments == 1


def test_a_batch_is_answered_in_the_order_it_was_asked():
    factories.everything_published()
    texts = [*PUBLISHED, "hello", *reversed(PUBLISHED)]
    answers = syntaxes.answer([parse(text, syntaxes.grammar()) for text in texts], NOW)
    assert [answer.text for answer in answers] == [PUBLISHED.get(text, PUBLISHED["TC"]) for text in texts]


def test_a_batch_takes_the_same_number_of_queries_whatever_its_size(django_assert_num_queries):
    factories.everything_published()
    for number in range(30):
        factories.customer(f"PP05000{number:06}", book=f"B{number}", station=f"T{number}")
    questions = [
        parse(f"{keyword} {code} 1 10 2016", syntaxes.grammar())
        for code in [CODE, *(f"PP05000{number:06}" for number in range(30))]
        for keyword in ("LGD", "CS", "TD", "NTD", "LCD")
    ]
    # wordings; accounts; dates, their periods' years and periods; the same for readings; bills, adjustments, years and
    # periods; debts; outages
    with django_assert_num_queries(1 + 1 + 3 + 3 + 4 + 1 + 1):
        syntaxes.answer(questions, NOW)


def test_a_month_with_one_ky_needs_no_ky():
    factories.everything_published()
    answer = ask(f"TD {CODE} 10/2016")
    assert answer.text == PUBLISHED[f"TD {CODE} 1 10 2016"]
    assert answer.period.ky == 1


def test_a_month_with_several_ky_asks_which_and_shows_the_command():
    factories.customer()
    factories.invoice(ky=1)
    factories.invoice(ky=2)
    answer = ask(f"TD {CODE} 10/2016")
    assert answer.text == (
        f"EVNCPC: thang 10/2016 co cac ky 1, 2. Quy khach vui long soan: TD {CODE} 1 10 2016 gui 8088. "
        "Chi tiet goi 19001909."
    )
    assert (answer.outcome, answer.charge) == (Outcome.BAD_SYNTAX, False)


@pytest.mark.parametrize(("keyword", "noun"), [("LGD", "lich ghi dien"), ("CS", "chi so"), ("TD", "tien dien")])
def test_a_period_without_data_names_the_latest_periods_that_have_some(keyword, noun):
    factories.customer()
    for year, month in [(2015, 12), (2016, 7), (2016, 8), (2016, 10)]:
        factories.schedule(year=year, month=month)
        factories.reading(year=year, month=month)
        factories.invoice(year=year, month=month)
    answer = ask(f"{keyword} {CODE} 1 9 2016")
    assert answer.text == (
        f"EVNCPC chua co {noun} Ky 1 Thang 9 Nam 2016 cua khach hang {CODE}. "
        "Ky/thang/nam da co: 1/10/2016, 1/8/2016, 1/7/2016. Chi tiet goi 19001909."
    )
    assert (answer.outcome, answer.charge) == (Outcome.NO_DATA, False)


def test_no_data_at_all_says_so_without_naming_periods():
    factories.customer()
    assert ask(f"TD {CODE} 1 9 2016").text == (
        f"EVNCPC chua co tien dien Ky 1 Thang 9 Nam 2016 cua khach hang {CODE}. Chi tiet goi 19001909."
    )


def test_an_unknown_customer_is_told_to_check_the_code():
    answer = ask(f"NTD {CODE}")
    assert answer.text == (
        f"EVNCPC khong tim thay khach hang {CODE}. Quy khach vui long kiem tra ma khach hang tren hoa don hoac goi "
        "19001909."
    )
    assert (answer.outcome, answer.charge) == (Outcome.UNKNOWN_CUSTOMER, False)


def test_another_corporations_code_is_told_to_be_none_of_ours():
    answer = ask("NTD PE05000974006")
    assert answer.text.startswith("Ma PE05000974006 khong phai cua EVNCPC.")
    assert "PP, PQ hoac PC" in answer.text
    assert (answer.outcome, answer.charge) == (Outcome.UNKNOWN_CUSTOMER, False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"TD {CODE} 1 13 2016", f"soan: TD {CODE} 1 9 2016 gui 8088"),
        (f"TD {CODE}", f"soan: TD {CODE} 1 9 2016 gui 8088"),
        ("TD PP0500097400 1 10 2016", "soan: TD MaKH 1 10 2016 gui 8088"),
        ("LCD", "soan: LCD MaKH gui 8088"),
        ("CS", "soan: CS MaKH ky thang nam gui 8088"),
        (f"NTD {CODE} PP05000974007", "soan: NTD MaKH gui 8088"),
        ("hello", "1.LichGhiDien\nLGD_MaKH_ky_thang_nam"),
        ("", "1.LichGhiDien\nLGD_MaKH_ky_thang_nam"),
        (CODE, "1.LichGhiDien\nLGD_MaKH_ky_thang_nam"),
    ],
)
def test_a_wrong_syntax_is_answered_free_with_the_command_that_was_meant(text, told):
    answer = ask(text)
    assert told in answer.text
    assert (answer.outcome, answer.charge) == (Outcome.BAD_SYNTAX, False)


def test_a_three_price_meter_tells_every_register_in_the_usual_order():
    factories.customer()
    for register, old, new in [("TD", 5, 8), ("BT", 100, 150), ("CD", 40, 60)]:
        factories.reading(register=register, old_reading=old, new_reading=new, consumption=new - old)
    assert ask(f"CS {CODE} 1 10 2016").text == (
        f"EVNCPC thong bao chi so Ky 1/10/2016 cua khach hang {CODE}: BT: HSN 1, cu 100, moi 150, tieu thu 50; "
        "CD: HSN 1, cu 40, moi 60, tieu thu 20; TD: HSN 1, cu 5, moi 8, tieu thu 3. Xin cam on quy khach."
    )


def test_a_meter_swap_names_both_meters():
    factories.customer()
    factories.reading(meter="CU1", old_reading=90, new_reading=100, consumption=10)
    factories.reading(meter="MOI2", old_reading=0, new_reading=5, consumption=5)
    text = ask(f"CS {CODE} 1 10 2016").text
    assert "Cong to CU1 KT: HSN 1, cu 90, moi 100, tieu thu 10; Cong to MOI2 KT: HSN 1, cu 0, moi 5" in text


def test_more_registers_than_three_segments_hold_are_counted_not_cut():
    factories.customer()
    for meter in range(6):
        for register in ("BT", "CD", "TD", "SG", "VC"):
            factories.reading(meter=f"CONGTO{meter}", register=register, multiplier=Decimal("1200"))
    text = ask(f"CS {CODE} 1 10 2016").text
    assert "; con " in text
    assert "bo chi so, goi 19001909. Xin cam on quy khach." in text


def test_fractions_of_readings_are_shown_without_idle_zeros():
    factories.customer()
    factories.reading(multiplier=Decimal("0.5"), old_reading=Decimal("10.250"), new_reading=Decimal("20.000"))
    assert "HSN: 0.5, chi so cu: 10.25, chi so moi: 20," in ask(f"CS {CODE} 1 10 2016").text


def test_a_bill_is_net_of_its_adjustments_whatever_period_they_carry():
    factories.customer()
    bill = factories.invoice(total=500550)
    factories.adjustment(bill, Invoice.Adjustment.REFUND, -50550)
    factories.adjustment(bill, Invoice.Adjustment.SURCHARGE, 1000)
    assert "la 451000 dong." in ask(f"TD {CODE} 1 10 2016").text
    assert ask(f"TD {CODE} 1 11 2016").outcome == Outcome.NO_DATA


def test_a_reactive_bill_is_told_beside_the_energy_bill_not_within_it():
    factories.customer()
    factories.invoice(total=500550)
    factories.invoice(total=12000, kind=Invoice.Kind.REACTIVE)
    assert "la 500550 dong, tien cong suat phan khang la 12000 dong." in ask(f"TD {CODE} 1 10 2016").text


def test_no_debt_is_an_answer():
    factories.customer()
    factories.debt(settled_at=NOW)
    answer = ask(f"NTD {CODE}")
    assert answer.text == f"EVNCPC thong bao khach hang {CODE} khong con no tien dien. Xin cam on quy khach."
    assert answer.outcome == Outcome.ANSWERED


def test_several_debts_are_told_by_period_with_their_total():
    factories.customer()
    factories.debt(month=9, amount=100000, tax=10000)
    factories.debt(month=10, amount=200000, tax=20000)
    factories.debt(month=10, amount=5000, tax=500, kind=Invoice.Kind.REACTIVE)
    assert ask(f"NTD {CODE}").text == (
        "EVNCPC thong bao no tien dien cua khach hang: Ky 1/10/2016: 225500; Ky 1/9/2016: 110000. "
        "Tong cong: 335500 dong. Xin cam on quy khach."
    )


def test_debts_beyond_three_segments_are_counted_and_stay_in_the_total():
    factories.customer()
    for year in range(2012, 2016):
        for month in range(1, 13):
            factories.debt(year=year, month=month, amount=1000, tax=100)
    text = ask(f"NTD {CODE}").text
    assert text.startswith("EVNCPC thong bao no tien dien cua khach hang: Ky 1/12/2015: 1100; ")
    assert " ky truoc. Tong cong: 52800 dong." in text


def test_no_outage_is_an_answer():
    factories.customer()
    answer = ask(f"LCD {CODE}")
    assert answer.text == (
        f"EVNCPC thong bao hien khong co lich tam ngung cung cap dien cua khach hang {CODE}. Chi tiet goi 19001909."
    )
    assert answer.outcome == Outcome.ANSWERED


def test_several_outages_tell_the_running_one_first():
    factories.customer()
    coming = datetime(2016, 10, 7, 6, 5, tzinfo=VIETNAM)
    factories.outage(start_at=coming, end_at=coming.replace(hour=8))
    factories.outage(start_at=datetime(2016, 10, 1, tzinfo=VIETNAM), end_at=None, kind=Outage.Kind.SUDDEN)
    assert ask(f"LCD {CODE}").text == (
        "EVNCPC thong bao lich tam ngung cung cap dien cua quy khach la dang ngung tu: 01/10/2016 0:00 den: khi co "
        "thong bao moi; tu: 07/10/2016 6:05 den: 07/10/2016 8:05. Cam on quy khach da su dung dich vu cua chung toi."
    )


def test_outages_beyond_three_segments_are_counted():
    factories.customer()
    for day in range(6, 31):
        factories.outage(
            start_at=datetime(2016, 10, day, 6, tzinfo=VIETNAM), end_at=datetime(2016, 10, day, 9, tzinfo=VIETNAM)
        )
    assert " lan sau do. Cam on" in ask(f"LCD {CODE}").text


def test_every_question_has_its_place_in_the_catalogue_and_parses_back():
    for syntax in syntaxes.SYNTAXES.values():
        question = parse(syntax.command(CODE, Period(ky=1, month=10, year=2016)), syntaxes.grammar())
        assert question.problem is None
        assert question.keyword == syntax.keyword
        assert not syntax.label or syntax.usage.replace(" ", "_") in syntaxes.catalogue_text()


def test_the_hotline_prefixes_and_short_code_are_settings(settings):
    settings.HOTLINE, settings.SMS_SHORT_CODE, settings.CUSTOMER_CODE_PREFIXES = "1900", "9999", ["PX"]
    text = ask("NTD PP05000974006").text
    assert "bat dau bang PX. Chi tiet goi 1900." in text
    assert "gui 9999" in ask("NTD").text


def test_the_reading_date_is_written_day_month_year():
    factories.customer()
    factories.schedule(reading_date=date(2016, 12, 3))
    assert "la ngay: 3/12/2016." in ask(f"LGD {CODE} 1 10 2016").text
