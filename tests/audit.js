// What is wrong with a page for those who see little, use no mouse or have it read out: a list of sentences.
const wrong = [];
const name = (e) => `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}${e.getAttribute("class") ? "." + e.getAttribute("class") : ""} "${e.textContent.trim().slice(0, 30)}"`;
const all = (selector) => [...document.querySelectorAll(selector)];
const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;

// -- colours (WCAG 2.2, 1.4.3 and 1.4.11) ---------------------------------------------------

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
function behind(e) {
  const layers = [];
  for (let at = e; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
  return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
}
function light([r, g, b]) {
  const part = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  return .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
}
function contrast(colour, ground) {
  const [a, b] = [light(over(rgba(colour), ground)), light(ground)].sort((x, y) => y - x);
  return (a + .05) / (b + .05);
}
for (const e of all("body *")) {
  const own = [...e.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !shown(e) || e.closest("svg, script, style, noscript, .skip:not(:focus)")) continue;
  const style = getComputedStyle(e), size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const found = contrast(style.color, behind(e));
  if (found < (large ? 3 : 4.5)) wrong.push(`contrast ${found.toFixed(2)} of ${name(e)}`);
  if (size < 11) wrong.push(`${size} px is too small: ${name(e)}`);
}
for (const [selector, property] of [[".bar", "borderTopColor"], [".bar > .left", "backgroundColor"], [".bar > .said", "backgroundColor"], [".bar > .failed", "backgroundColor"], [".plot .go", "fill"], [".plot .no", "fill"], [".plot .pace", "stroke"], [".plot .zero", "stroke"], ["button", "borderTopColor"]]) {
  for (const e of all(selector)) {
    if (!shown(e) || (e.closest(".tiles") && selector === ".bar")) continue;
    const found = contrast(getComputedStyle(e)[property], behind(e.closest(".card, header") || document.body));
    if (found < 3) wrong.push(`contrast ${found.toFixed(2)} of ${selector}`);
  }
}

// -- names, roles and order -------------------------------------------------------------------

for (const [selector, most] of [["main", 1], ["h1", 1], ["header", 1], ["footer", 1], ["title", 1]]) {
  if (all(selector).length !== most) wrong.push(`${all(selector).length} ${selector}`);
}
let level = 1;
for (const e of all("h1, h2, h3, h4, h5, h6").filter(shown)) {
  const now = Number(e.tagName[1]);
  if (now > level + 1) wrong.push(`a heading of level ${now} after one of ${level}: ${name(e)}`);
  if (!e.textContent.trim()) wrong.push(`an empty heading`);
  level = now;
}
const ids = all("[id]").map((e) => e.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`the id ${id} twice`);
for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
  for (const e of all(`[${attribute}]`)) for (const id of e.getAttribute(attribute).split(" ")) {
    if (!document.getElementById(id)) wrong.push(`${attribute} names ${id}, which is not there`);
  }
}
for (const e of all("section, article, [role=region], [role=slider], button, a, summary, [tabindex='0']").filter(shown)) {
  const label = e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || (e.matches("button, a, summary") && e.textContent.trim());
  if (!label) wrong.push(`no name: ${name(e)}`);
}
for (const e of all("svg, img, canvas")) {
  if (!e.closest("[aria-hidden=true]") && !e.getAttribute("aria-label") && !e.getAttribute("alt")) wrong.push(`a picture without words: ${name(e)}`);
}
for (const e of all("[aria-hidden=true]")) {
  if (e.matches("[tabindex='0'], a, button") || e.querySelector("[tabindex='0'], a, button")) wrong.push(`hidden, and yet in the way of the keyboard: ${name(e)}`);
}
for (const e of all("[role=slider]")) {
  for (const attribute of ["aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext"]) if (!e.hasAttribute(attribute)) wrong.push(`a slider without ${attribute}`);
}
for (const e of all("table")) {
  if (!e.querySelector("caption")) wrong.push(`a table without a title`);
  if (!e.querySelector("thead th[scope=col]")) wrong.push(`a table without heads: ${name(e)}`);
  for (const row of e.querySelectorAll("tbody tr")) if (row.querySelector("td[data-field]") && !row.querySelector("th") && !row.previousElementSibling?.querySelector("th")) wrong.push(`a row without a head: ${name(row)}`);
}
if (all("[aria-live], [role=status], [role=alert], [role=log]").length > 1) wrong.push("more than one part that speaks by itself");

// -- room --------------------------------------------------------------------------------------

const wide = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > wide) wrong.push(`${document.documentElement.scrollWidth} px wide in a window of ${wide}`);
for (const e of all("main *, header *").filter(shown)) {
  if (e.closest("svg, .bar, .skip, .scroll, .columns")) continue;
  const { left, right } = e.getBoundingClientRect();
  if (right > wide + 1 || left < -1) wrong.push(`out of the window: ${name(e)}`);
}
for (const e of all(".tiles dd, .tiles dt, h3, h2, td, th").filter(shown)) {
  if (e.scrollWidth > e.clientWidth + 1) wrong.push(`wider than its place: ${name(e)}`);
}
for (const e of all("button, summary").filter(shown)) {
  if (e.getBoundingClientRect().height < 24) wrong.push(`too small for a finger: ${name(e)}`);
}
return wrong;
