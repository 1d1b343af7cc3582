// The search box of every page: "/" and Ctrl+K go there, and it answers as one types. Nothing typed or found is kept.
// It stands right after its box and waits for no other script: whoever sees the box can type.
"use strict";

{
  const form = document.querySelector("form.search-box");
  const MILLISECONDS_OF_REST = 120;
  const field = form.querySelector("input");
  const panel = form.querySelector(".search-panel");
  const status = form.querySelector("[role=status]");
  let timer = null; // runs while the next letter may come
  let asking = null; // aborts the request under way
  let answered = ""; // what the panel tells of
  let early = []; // what the keys meant that were pressed before the answer was there

  const options = () => [...panel.querySelectorAll("[role=option]")];
  const chosen = () => panel.querySelector("[aria-selected=true]");
  const typed = () => field.value.trim();

  function show(open) {
    panel.hidden = !open;
    field.setAttribute("aria-expanded", String(open && options().length > 0));
    if (!open) choose(null);
  }

  function choose(option) {
    chosen()?.setAttribute("aria-selected", "false");
    if (option) {
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      field.setAttribute("aria-activedescendant", option.id);
    } else {
      field.removeAttribute("aria-activedescendant");
    }
  }

  function stop() {
    clearTimeout(timer);
    asking?.abort();
    timer = asking = null;
    early = [];
  }

  // Keys mean the answer to what is typed, never an older one that still shows.
  function answeredThen(act) {
    if (!timer && !asking) return act();
    early.push(act);
    if (timer) ask();
  }

  async function ask() {
    const term = typed();
    clearTimeout(timer);
    timer = null;
    const mine = (asking = new AbortController());
    try {
      const query = new URLSearchParams({ s: term, extended: "1" });
      const answer = await fetch(`${form.action}?${query}`, { signal: mine.signal, cache: "no-store", redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      if (asking !== mine) return; // a newer question is under way
      panel.innerHTML = html;
      answered = term;
      status.textContent = panel.querySelector("[data-told]")?.dataset.told ?? "";
      show(form.contains(document.activeElement));
    } catch (error) {
      if (error.name === "AbortError" || asking !== mine) return;
      answered = "";
      panel.textContent = status.textContent = form.dataset.failed;
      show(form.contains(document.activeElement));
    }
    asking = null;
    for (const act of early.splice(0)) act();
  }

  function step(key) {
    const all = panel.hidden ? [] : options();
    const place = all.indexOf(chosen());
    const places = {
      ArrowDown: place + 1,
      ArrowUp: place < 0 ? all.length - 1 : place - 1,
      Home: 0,
      End: all.length - 1,
    };
    if (all.length) choose(all[(places[key] + all.length) % all.length]);
  }

  function open(how) {
    const option = chosen() ?? (answered === typed() ? panel.querySelector("[data-certain]") : null);
    if (!option) form.submit();
    else if (how === "tab") window.open(option.href, "_blank", "noopener");
    else location.assign(option.href);
  }

  field.addEventListener("input", () => {
    stop();
    choose(null);
    if (typed().length < 2) {
      panel.replaceChildren();
      answered = status.textContent = "";
      show(false);
    } else {
      timer = setTimeout(ask, MILLISECONDS_OF_REST);
    }
  });

  field.addEventListener("focus", () => {
    if (answered && answered === typed()) show(true);
  });

  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Vietnamese letters are being put together
    const steps = chosen() ? ["ArrowDown", "ArrowUp", "Home", "End"] : ["ArrowDown", "ArrowUp"];
    if (steps.includes(event.key)) {
      event.preventDefault();
      if (panel.hidden && answered && answered === typed()) show(true);
      else answeredThen(() => step(event.key));
    } else if (event.key === "Enter") {
      event.preventDefault();
      const how = event.ctrlKey || event.metaKey ? "tab" : "here";
      if (typed()) answeredThen(() => open(how));
    } else if (event.key === "Escape") {
      event.preventDefault();
      stop();
      if (!panel.hidden) show(false);
      else if (field.value) field.value = "";
      else field.blur();
    }
  });

  form.addEventListener("focusout", (event) => {
    if (!form.contains(event.relatedTarget)) show(false);
  });

  document.addEventListener("keydown", (event) => {
    const elsewhere = event.target.closest?.("input, textarea, select, [contenteditable=true]");
    const slash = event.key === "/" && !elsewhere && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (slash || ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k")) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  });

  if (field.value !== field.defaultValue) field.dispatchEvent(new Event("input")); // typed before all this was there
}
