// Small comforts. Every page works without this file.
"use strict";

// Whether somebody is typing: then a key is a letter, not a command.
function typing(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) event.target.blur();
  if (event.key === "Enter" && event.target.type === "checkbox") {
    event.target.click();
    event.preventDefault();
  }
  if (typing(event.target)) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) {
      search.focus();
      search.select();
      event.preventDefault();
    }
  }
  if (event.key === "j" || event.key === "k") walk(event.key === "j" ? 1 : -1);
  const field = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (field && field.matches("a, button")) field.click();
  else if (field) {
    const folded = field.closest("details");
    if (folded) folded.open = true;
    field.focus();
    field.scrollIntoView({ block: "center" });
    event.preventDefault();
  }
});

// Goes to the next article of a ticket, or ticket of a list; Enter opens a ticket.
function walk(step) {
  const stops = [...document.querySelectorAll("[data-article], [data-row]")];
  const at = stops.findIndex((stop) => stop.contains(document.activeElement));
  const next = stops[at < 0 ? (step > 0 ? 0 : stops.length - 1) : at + step];
  if (!next) return;
  for (const stop of stops) stop.classList.toggle("current", stop === next);
  const target = next.matches("[data-row]") ? next.querySelector("a") : next;
  target.focus();
  next.scrollIntoView({ block: "nearest" });
}

// A text is seen elsewhere while it is written: <span data-mirror="id of the field">.
for (const mirror of document.querySelectorAll("[data-mirror]")) {
  const field = document.getElementById(mirror.dataset.mirror);
  const show = () => { mirror.textContent = field.value.trim() || "…"; };
  field.addEventListener("input", show);
  show();
}

// One box ticks all of a name: <input type="checkbox" hidden data-all="name">.
for (const all of document.querySelectorAll("[data-all]")) {
  const boxes = [...all.form.querySelectorAll(`[name="${CSS.escape(all.dataset.all)}"]`)];
  all.hidden = false;
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; });
  all.form.addEventListener("change", () => { all.checked = boxes.every((box) => box.checked); });
}

// A menu closes when something else is clicked.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// A form that asks first: <form data-ask="Really?">. And none is sent twice by a double click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.ask && !window.confirm(form.dataset.ask)) {
    event.preventDefault();
    return;
  }
  if (form.method === "post") {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  }
});
// Coming back with the browser's own button, a form may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
