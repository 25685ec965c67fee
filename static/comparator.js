// The comparator: both pictures enlarge and turn together, the candidate can be laid over the searched face.
// Keys work only while the focus is inside a candidate and not in a field, so that they are in nobody's way.
"use strict";

(() => {
  const list = document.querySelector("[data-comparator]");
  if (!list) return;
  const state = new WeakMap();
  const of = (item) => {
    if (!state.has(item)) state.set(item, { zoom: 1, turn: 0 });
    return state.get(item);
  };

  const draw = (item) => {
    const { zoom, turn } = of(item);
    item.querySelectorAll("[data-turns]").forEach((image) => {
      image.style.transform = zoom === 1 && turn === 0 ? "" : `scale(${zoom}) rotate(${turn}deg)`;
    });
  };

  const overlay = (item) => {
    const button = item.querySelector("[data-do=overlay]");
    const there = item.querySelector("[data-over]");
    if (there) {
      there.remove();
      button.setAttribute("aria-pressed", "false");
      return;
    }
    const candidate = item.querySelector("[data-candidate]");
    if (!candidate) return;
    const over = candidate.cloneNode();
    over.removeAttribute("data-candidate");
    over.dataset.over = "";
    over.alt = "The candidate, laid over the searched face at half strength";
    over.className = "over";
    item.querySelector(".frame").append(over);
    button.setAttribute("aria-pressed", "true");
    draw(item);
  };

  const act = (item, what) => {
    const now = of(item);
    if (what === "zoom") now.zoom = now.zoom >= 3 ? 1 : now.zoom + 1;
    if (what === "turn") now.turn = now.turn >= 20 ? -20 : now.turn + 5;
    if (what === "overlay") overlay(item);
    draw(item);
  };

  const go = (item) => {
    if (!item) return;
    item.focus();
    item.scrollIntoView({ block: "start" });
  };

  list.querySelectorAll(".tools").forEach((tools) => { tools.hidden = false; });
  list.querySelectorAll(":scope > li").forEach((item) => { item.tabIndex = 0; });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button) act(button.closest("li"), button.dataset.do);
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // The examiner's form stands inside a candidate: there arrows choose and letters are typed.
    if (event.target.closest("input, select, textarea")) return;
    const item = event.target.closest("[data-comparator] > li");
    if (!item) return;
    const keys = { z: "zoom", r: "turn", o: "overlay" };
    if (event.key in keys) act(item, keys[event.key]);
    else if (event.key === "ArrowRight") go(item.nextElementSibling);
    else if (event.key === "ArrowLeft") go(item.previousElementSibling);
    else return;
    event.preventDefault();
  });
})();
