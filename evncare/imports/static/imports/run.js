// Keeps the page of an import live: asks every second how far it is, and shows the next page when its state changes.
"use strict";

(function () {
  const page = document.querySelector("[data-progress]");
  const live = document.getElementById("live");
  if (!page) return;

  const told = (name) => live.querySelector(`[data-told="${name}"]`);

  function show(answer) {
    const bar = live.querySelector("progress");
    live.querySelector(".live-title").textContent = answer.title;
    for (const name of ["rows", "pace", "left"]) told(name).textContent = answer[name];
    if (answer.share === null) bar.removeAttribute("value");
    else bar.value = answer.share;
  }

  async function ask() {
    try {
      // Asked by the page, not by a person: it doesn't keep them signed in.
      const headers = { Accept: "application/json", "X-Background": "1" };
      const response = await fetch(page.dataset.progress, { headers });
      if (response.redirected || response.status === 403) return location.reload(); // signed out meanwhile
      if (!response.ok) throw new Error(response.status);
      const answer = await response.json();
      // From one kind of work to the next the page stays; what a person should read is a page anew.
      if (answer.state !== page.dataset.state && !(answer.live && live)) return location.reload();
      if (live) {
        page.dataset.state = answer.state;
        show(answer);
      }
    } catch (error) {
      if (live) live.querySelector(".live-title").textContent = live.dataset.lost;
    }
    // A page that waits for people need not hurry.
    setTimeout(ask, live ? 1000 : 5000);
  }

  if (live || ["READY", "SECOND_PERSON"].includes(page.dataset.state)) setTimeout(ask, live ? 500 : 5000);
})();
