"use strict";
document.documentElement.classList.add("scripted");

const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const viewer = $("#viewer"), pile = $(".pile", viewer), stage = $(".stage", viewer);
const at = $("#viewer-at"), zoom = $("#viewer-zoom"), under = $("#viewer-under"), over = $("#viewer-over");
let shown = null, opener = null;

function place() {
  pile.style.setProperty("--at", `${at.value}%`);
}

function scale() {
  // Fits the window first; small pictures are enlarged, and then keep their sharp edges.
  const room = Math.min(stage.clientWidth, window.innerHeight * 0.6);
  const ratio = under.naturalHeight / (under.naturalWidth || 1) || 1;
  const width = ratio > 1 ? room / ratio : room;
  pile.style.setProperty("--width", `${width * zoom.value}px`);
  pile.style.setProperty("--ratio", `${under.naturalWidth || 1} / ${under.naturalHeight || 1}`);
}

function words(img) {
  const shot = img.closest(".shot"), seen = $(".seen", shot).textContent.trim();
  return $(".label", shot).textContent + (seen ? `: ${seen}` : "");
}

function show(img) {
  const figure = img.closest(".sample"), first = $(".shot img", figure);
  const other = img === first ? all(".shot img", figure)[1] || first : img;
  shown = other;
  under.src = first.src;
  under.alt = first.alt;
  over.src = other.src;
  over.alt = other.alt;
  pile.classList.toggle("small", first.classList.contains("small"));
  $("#viewer-title").textContent = $("figcaption", figure).textContent;
  $("#viewer-left").textContent = words(first);
  $("#viewer-right").textContent = words(other);
  scale();
}

function step(by) {
  const figures = all(".sample", shown.closest(".gallery")).filter((f) => f.offsetParent !== null);
  const index = all(".shot img", shown.closest(".sample")).indexOf(shown);
  const next = figures[(figures.indexOf(shown.closest(".sample")) + by + figures.length) % figures.length];
  const images = all(".shot img", next);
  show(images[Math.min(index, images.length - 1)]);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("open")) {
    opener = button;
    viewer.showModal();
    show($("img", button));
    place();
  } else if (button.dataset.do === "close") viewer.close();
  else if (button.dataset.do) step(button.dataset.do === "next" ? 1 : -1);
  else if (button.dataset.copy) copy(button);
});

function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const done = () => {
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => select(button));
  else select(button);
}

function select(button) {
  getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
}

viewer.addEventListener("close", () => opener && opener.focus());
at.addEventListener("input", place);
zoom.addEventListener("input", scale);
window.addEventListener("resize", () => viewer.open && scale());
under.addEventListener("load", scale);

function drag(event) {
  if (zoom.value > 1 || !(event.buttons & 1)) return;
  const box = pile.getBoundingClientRect();
  at.value = (100 * (event.clientX - box.left)) / box.width;
  place();
}
stage.addEventListener("pointerdown", drag);
stage.addEventListener("pointermove", drag);

const wipe = $("#wipe"), pictures = $("#pictures");
if (wipe) wipe.addEventListener("input", () => pictures.style.setProperty("--wipe", `${wipe.value}%`));
all("input[name=view]").forEach((input) => input.addEventListener("change", () => {
  pictures.classList.toggle("over", input.value === "over");
}));
const only = $("#only-changed");
if (only) only.addEventListener("change", () => pictures.classList.toggle("only-changed", only.checked));
