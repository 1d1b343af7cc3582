from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from sms.views import InboundView, ReportView

app_name = "sms"

urlpatterns = [
    path("sms/<slug:carrier>/inbound/", InboundView.as_view(), name="inbound"),
    path("sms/<slug:carrier>/reports/", ReportView.as_view(), name="reports"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="sms:schema"), name="docs"),
]
