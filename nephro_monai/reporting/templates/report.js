"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const slices = JSON.parse(byId("slice-data").textContent);
  const tumors = JSON.parse(byId("tumor-data").textContent);
  const stage = byId("viewer"), picture = byId("slice"), overlay = byId("overlay");
  const position = byId("position"), readout = byId("readout"), names = byId("names");
  const kidney = overlay.querySelector(".kidney"), tumor = overlay.querySelector(".tumor");
  const outlines = [...document.getElementsByName("outline")];
  const places = [...document.querySelectorAll("[data-z]")];
  let place = Number(stage.dataset.start);

  const nearest = (z) => slices.reduce((best, s, i) => (Math.abs(s.z - z) < Math.abs(slices[best].z - z) ? i : best), 0);

  function show(next) {
    place = Math.max(0, Math.min(slices.length - 1, next));
    const slice = slices[place];
    picture.src = "data:image/jpeg;base64," + slice.img;
    picture.alt = `Axial slice at z ${slice.mm} mm`;
    kidney.setAttribute("d", slice.k);
    tumor.setAttribute("d", slice.t);
    position.value = place;
    position.setAttribute("aria-valuetext", `z ${slice.mm} mm`);
    stage.dataset.z = slice.z;
    readout.textContent = `Slice ${slice.z} \u00b7 z ${slice.mm.toFixed(1)} mm` + (slice.n === slice.z ? "" : ` \u00b7 file slice ${slice.n}`);
    names.replaceChildren(...tumors.filter((t) => slice.t && t.z0 <= slice.z && slice.z < t.z1).map((t) => {
      const label = document.createElement("span");
      label.textContent = t.name;
      label.style.left = `${t.x}%`;
      label.style.top = `${t.y}%`;
      return label;
    }));
    for (const item of places) item.classList.toggle("here", Number(item.dataset.z) === slice.z);
  }

  function outline(value) {
    overlay.setAttribute("class", value);
    names.hidden = value === "off";
    for (const input of outlines) input.checked = input.value === value;
  }

  const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) show(place + steps[event.key]);
    else if (event.key.toLowerCase() === "o") outline(overlay.getAttribute("class") === "off" ? "line" : "off");
    else return;
    event.preventDefault();
  });

  let turned = 0;
  stage.addEventListener("wheel", (event) => {
    if (event.ctrlKey) return;
    event.preventDefault();
    // Trackpads send many small turns, mice few large ones: a step per 40 pixels, at most one per event.
    turned += event.deltaMode ? event.deltaY * 40 : event.deltaY;
    if (Math.abs(turned) >= 40) {
      show(place - Math.sign(turned));
      turned = 0;
    }
  }, { passive: false });

  position.addEventListener("input", () => show(Number(position.value)));
  for (const input of outlines) input.addEventListener("change", () => outline(input.value));
  for (const input of document.getElementsByName("window"))
    input.addEventListener("change", () => { picture.style.filter = `url(#window-${input.value})`; });
  for (const item of places)
    item.addEventListener("click", () => {
      show(nearest(Number(item.dataset.z)));
      stage.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });

  const fromAddress = () => {
    const asked = /^#z=(\d+)$/.exec(location.hash);
    if (asked) show(nearest(Number(asked[1])));
  };
  addEventListener("hashchange", fromAddress);
  show(place);
  fromAddress();
})();
