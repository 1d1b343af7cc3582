// The theme's components for Alpine's build that needs no eval: it knows by name only what is registered here.
"use strict";

document.addEventListener("alpine:init", () => {
  Alpine.data("theme", theme); // from the theme's app.js
  Alpine.data("page", () => ({
    activeTab: "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    // The theme's change form asks `window` where it is. Expressions can't reach the real one, so they get its address only.
    window: { location: { pathname: location.pathname, search: location.search } },
    init() {
      const tab = this.$root.dataset.activeTab;
      if (tab) this.activeTab = getCurrentTab() || tab;
      this.$watch("sidebarDesktopOpen", (open) => localStorage.setItem("sidebarDesktopOpen", open ? "1" : "0"));
    },
  }));
});

// The theme writes the name of a chosen file into the first text field around, as in its own widget, which we don't use:
// with us that is another field. It leaves alone what it believes to have seen.
for (const input of document.querySelectorAll("input[type=file]")) input.hasChangeListener = true;
