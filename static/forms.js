// Small comforts for forms. Everything works without them.
"use strict";

(() => {
  const focusSummary = (root) => {
    const summary = root.querySelector("[data-summary]");
    if (summary) summary.focus();
  };

  // A link to a field moves the focus into its control, not only the page.
  const followFieldLink = (event) => {
    const link = event.target.closest(".summary a[href^='#']");
    if (!link) return;
    const place = document.getElementById(link.hash.slice(1));
    const control = place && (place.matches("input, select, textarea") ? place : place.querySelector("input:not([type=hidden]), select, textarea"));
    if (!control) return;
    event.preventDefault();
    place.scrollIntoView({ block: "center" });
    control.focus({ preventScroll: true });
  };

  const count = (area) => {
    const counter = document.getElementById(area.dataset.counter);
    if (!counter) return;
    const least = Number(area.dataset.least || 0);
    const length = area.value.trim().length;
    counter.textContent = length >= least ? `${length} characters` : `${length} of at least ${least} characters`;
  };

  // A second click must not send a form twice; a page that comes back from the cache is usable again.
  const sendOnce = (event) => {
    const form = event.target;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  };

  document.addEventListener("click", followFieldLink);
  document.addEventListener("submit", sendOnce);
  document.addEventListener("input", (event) => {
    if (event.target.matches("textarea[data-counter]")) count(event.target);
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  });
  document.querySelectorAll("textarea[data-counter]").forEach(count);
  focusSummary(document);
})();
