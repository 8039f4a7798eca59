"use strict";
// The record of the page says which layers, runs and columns there are; nothing here knows a site.
const record = JSON.parse(document.getElementById("record").textContent);
const PIXELS_SHOWN_LARGER = 3; // zoom levels beyond that of the site's own pixels
const map = L.map("map", { minZoom: record.least, maxZoom: record.finest + PIXELS_SHOWN_LARGER, preferCanvas: true, zoomSnap: 0.5 });
map.attributionControl.setPrefix("Leaflet");
L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);
map.setMaxBounds(L.latLngBounds(record.bounds).pad(0.5)).fitBounds(record.bounds);

const shown = {}; // layers on the map, by name
const taken = {}; // landslides by run, once loaded
let run = record.runs[0];

function number(value, decimals) {
  if (value === null || value === undefined) return "–";
  if (decimals === null) return String(value);
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// --- layers: each in a pane of its own, whose opacity its slider sets

function addPane(layer, index) {
  const pane = map.createPane(layer.name);
  pane.style.zIndex = 210 + index;
  pane.style.opacity = layer.opacity;
}

function tiles(layer) {
  const folder = layer.kind === "run" ? `${record.folder}/${run.key}/${layer.name}` : `${record.folder}/${layer.name}`;
  return L.tileLayer(`${folder}/{z}/{x}/{y}.png`, {
    pane: layer.name, bounds: record.bounds, minNativeZoom: record.least, maxNativeZoom: record.deepest,
    minZoom: record.least, maxZoom: record.finest + PIXELS_SHOWN_LARGER,
  });
}

function outlines(layer) {
  const [colour, halo] = layer.legend.line;
  const renderer = L.canvas({ pane: layer.name, tolerance: 5 });
  const look = { renderer, pane: layer.name, fillOpacity: 0, smoothFactor: 0.5 };
  const below = L.geoJSON(taken[run.key], { ...look, style: { color: halo, weight: 2.4, opacity: 0.8 }, interactive: false });
  const above = L.geoJSON(taken[run.key], { ...look, style: { color: colour, weight: 1.2 } });
  above.bindPopup((clicked) => table(clicked.feature.properties), { maxWidth: 340 });
  return L.layerGroup([below, above]);
}

function table(properties) {
  const known = record.columns.filter((column) => column.name in properties);
  return element("table", {}, ...known.map((column) => {
    const cell = element("td", {}, number(properties[column.name], column.decimals));
    cell.dataset.column = column.name;
    return element("tr", {}, element("th", {}, column.title), cell);
  }));
}

function show(layer) {
  if (layer.kind !== "outlines") {
    shown[layer.name] = tiles(layer).addTo(map);
  } else if (run.key in taken) {
    shown[layer.name] = outlines(layer).addTo(map);
  } else {
    document.head.append(element("script", { src: `${record.folder}/${run.key}/landslides.js` }));
  }
}

function hide(layer) {
  if (layer.name in shown) shown[layer.name].remove();
  delete shown[layer.name];
}

function redraw(layers) {
  for (const layer of layers) {
    hide(layer);
    if (layer.shown) show(layer);
  }
}

// Each run's landslides.js calls this: a page opened from disk may load scripts but no data files.
function takeLandslides(key, collection) {
  taken[key] = collection;
  if (key === run.key) redraw(record.layers.filter((layer) => layer.kind === "outlines"));
}

// --- the list beside the map

function legend(layer) {
  const { boxes, ramp, ends, line } = layer.legend;
  const keys = (boxes || []).map(([colour, text]) => {
    const box = element("i", {});
    box.style.background = colour;
    return element("div", { className: "key" }, box, text);
  });
  if (ramp) {
    const bar = element("i", { className: "ramp" });
    bar.style.background = `linear-gradient(to right, ${ramp.join(", ")})`;
    keys.push(element("div", { className: "key" }, ends[0], bar, ends[1]));
  }
  if (line) {
    const stroke = element("i", { className: "line" });
    stroke.style.borderColor = line[0];
    stroke.style.outlineColor = line[1];
    keys.push(element("div", { className: "key" }, stroke, line[2]));
  }
  return keys;
}

function entry(layer) {
  const box = element("input", { type: "checkbox", checked: layer.shown, id: `show-${layer.name}` });
  const slider = element("input", { type: "range", min: 0, max: 100, value: 100 * layer.opacity, id: `opacity-${layer.name}` });
  slider.setAttribute("aria-label", `Opacity of ${layer.title}`);
  const more = element("div", { className: "more" }, ...legend(layer), element("div", { className: "muted" }, layer.remark), slider);
  const whole = element("div", { className: "layer" }, element("label", {}, box, layer.title), more);
  whole.classList.toggle("on", layer.shown);
  box.addEventListener("change", () => {
    layer.shown = box.checked;
    whole.classList.toggle("on", layer.shown);
    redraw([layer]);
  });
  slider.addEventListener("input", () => { map.getPane(layer.name).style.opacity = slider.value / 100; });
  return whole;
}

function scoresOf(chosen) {
  const texts = chosen.scores.map(([name, value, interval]) => {
    const range = interval ? ` [${interval.map((end) => end.toFixed(3)).join(", ")}]` : "";
    return `${name} ${value.toFixed(3)}${range}`;
  });
  const cut = chosen.threshold === null ? "" : ` Landslide where the probability is ${chosen.threshold.toFixed(2)} or more.`;
  return `${texts.join("; ")}. ${chosen.about}${cut}`;
}

function choose(key) {
  run = record.runs.find((one) => one.key === key);
  document.getElementById("scores").textContent = scoresOf(run);
  map.closePopup();
  redraw(record.layers.filter((layer) => layer.kind !== "site"));
}

record.layers.forEach(addPane);
document.getElementById("layers").append(...record.layers.map(entry).reverse());
redraw(record.layers.filter((layer) => layer.kind === "site"));
if (run) {
  const list = document.getElementById("runs");
  list.append(...record.runs.map((one) => element("option", { value: one.key }, one.title)));
  list.addEventListener("change", () => choose(list.value));
  document.getElementById("run").hidden = false;
  choose(run.key);
}
