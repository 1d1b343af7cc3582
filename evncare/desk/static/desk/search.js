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
  let wanted = null; // what Enter meant, pressed before the answer was there

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
    timer = asking = wanted = null;
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
      show(true);
    } catch (error) {
      if (error.name === "AbortError" || asking !== mine) return;
      answered = "";
      panel.textContent = status.textContent = form.dataset.failed;
      show(true);
    }
    asking = null;
    if (wanted) open(wanted);
  }

  function open(how) {
    wanted = null;
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
    const all = panel.hidden ? [] : options();
    const place = all.indexOf(chosen());
    const steps = { ArrowDown: place + 1, ArrowUp: place < 0 ? all.length - 1 : place - 1 };
    if (place >= 0) Object.assign(steps, { Home: 0, End: all.length - 1 });
    if (event.key in steps) {
      event.preventDefault();
      if (panel.hidden && answered && answered === typed()) show(true);
      else if (all.length) choose(all[(steps[event.key] + all.length) % all.length]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const how = event.ctrlKey || event.metaKey ? "tab" : "here";
      if (!typed()) return;
      if (chosen() || !(timer || asking)) open(how);
      else wanted = how;
      if (timer) ask();
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
}
