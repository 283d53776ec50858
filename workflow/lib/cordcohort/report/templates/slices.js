// One slice of a picture at a time, enlarged: the picture is a mosaic whose tiles are known.
"use strict";

for (const viewer of document.querySelectorAll(".viewer")) {
  const { left, step, tile, columns, count } = Object.fromEntries(
    Object.entries(viewer.dataset).map(([name, value]) => [name, Number(value)]));
  const ZOOM = 2;
  const slider = viewer.querySelector("input");
  const label = viewer.querySelector("output");
  const image = viewer.querySelector("img");
  const names = viewer.dataset.slices.split(" ");
  const box = viewer.querySelector(".window");

  function show() {
    const place = Math.min(Math.max(Number(slider.value), 0), count - 1);
    const x = left + (place % columns) * step;
    const y = Math.floor(place / columns) * step;
    image.style.transform = `scale(${ZOOM}) translate(${-x}px, ${-y}px)`;
    label.textContent = `slice ${names[place]}`;
  }

  box.style.width = box.style.height = `${tile * ZOOM}px`;
  slider.addEventListener("input", show);
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    slider.value = Number(slider.value) + Math.sign(event.deltaY);
    show();
  }, { passive: false });
  viewer.hidden = false;
  show();
}
