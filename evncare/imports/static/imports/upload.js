// Shows how much of a file has been sent. Without this script the form works too, only silently.
"use strict";

(function () {
  const form = document.getElementById("upload");
  const sending = document.getElementById("sending");
  if (!form || !sending) return;

  const title = sending.querySelector(".live-title");
  const bar = sending.querySelector("progress");
  const share = sending.querySelector('[data-told="share"]');

  form.addEventListener("submit", (event) => {
    if (!form.querySelector('input[type="file"]').files.length) return;
    event.preventDefault();
    const buttons = form.querySelectorAll('[type="submit"]');
    const request = new XMLHttpRequest();

    function failed() {
      title.textContent = sending.dataset.failed;
      bar.hidden = true;
      share.textContent = "";
      for (const button of buttons) button.disabled = false;
    }

    request.upload.addEventListener("progress", (sent) => {
      if (!sent.lengthComputable) return;
      bar.value = sent.loaded / sent.total;
      share.textContent = Math.floor((100 * sent.loaded) / sent.total) + " %";
      if (sent.loaded === sent.total) {
        title.textContent = sending.dataset.kept;
        bar.removeAttribute("value");
        share.textContent = "";
      }
    });
    request.addEventListener("error", failed);
    request.addEventListener("load", () => {
      if (request.status >= 500) return failed();
      if (request.responseURL.split("?")[0] !== location.href.split(/[?#]/)[0]) return location.assign(request.responseURL);
      // The same page again: with what is wrong in the form.
      const answer = new DOMParser().parseFromString(request.responseText, "text/html");
      const marked = answer.querySelector("#content-main .errornote, #content-main .errorlist");
      if (!marked) return failed();
      for (const old of form.querySelectorAll(".errornote, .errorlist")) old.remove();
      form.prepend(...answer.querySelectorAll("#content-main .errornote, #content-main .errorlist"));
      sending.hidden = true;
      for (const button of buttons) button.disabled = false;
      form.scrollIntoView();
    });

    for (const button of buttons) button.disabled = true;
    title.textContent = sending.dataset.sending;
    bar.hidden = false;
    bar.value = 0;
    sending.hidden = false;
    sending.scrollIntoView({ block: "nearest" });
    request.open("POST", form.action || location.href);
    request.send(new FormData(form));
  });
})();
