// The wording's page: placeholders at a click, and the effect of the text while it is typed.

const form = document.getElementById("wording");
const text = form.elements.text;
const effect = document.getElementById("effect");
const PAUSE = 250; // milliseconds without a key

document.getElementById("show-effect").hidden = true; // it shows by itself

for (const button of form.querySelectorAll("[data-insert]")) {
  button.addEventListener("click", () => {
    text.setRangeText(button.dataset.insert, text.selectionStart, text.selectionEnd, "end");
    text.focus();
    text.dispatchEvent(new Event("input"));
  });
}

let timer = null;
let asked = 0;

text.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, PAUSE);
});

async function show() {
  const number = ++asked;
  try {
    const response = await fetch(form.dataset.effect, { method: "POST", body: new FormData(form) });
    if (!response.ok || response.redirected) throw new Error(response.status);
    const shown = await response.text();
    if (number === asked) effect.innerHTML = shown; // an answer that was overtaken is dropped
  } catch {
    if (number !== asked) return;
    const problem = document.createElement("p");
    problem.className = "problem";
    problem.textContent = form.dataset.failed;
    effect.replaceChildren(problem);
  }
}
