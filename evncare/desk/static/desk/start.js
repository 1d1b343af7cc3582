// The start page loads itself anew every minute while somebody is there: not while they read a table or stand on a
// link, and not on a screen that nobody has touched for a while, whose session is to end.
(() => {
  const EVERY = 60 * 1000;
  const PRESENT_FOR = 10 * 60 * 1000;
  const loadedAt = Date.now();

  const present = () => sessionStorage.setItem("desk.present", Date.now());
  for (const sign of ["pointermove", "pointerdown", "keydown", "wheel"]) {
    addEventListener(sign, present, { passive: true });
  }

  setInterval(() => {
    const due = Date.now() - loadedAt >= EVERY && !document.hidden;
    const somebody = Date.now() - (sessionStorage.getItem("desk.present") || 0) < PRESENT_FOR;
    const busy = document.activeElement !== document.body || document.querySelector("details[open]");
    if (due && somebody && !busy) location.reload();
  }, 5000);
})();
