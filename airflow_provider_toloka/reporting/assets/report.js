
"use strict";
(() => {
  // The page contains all rows, for readers and printers without scripts. Of many thousands, only some are in the
  // document at a time, which keeps it fast.
  const PORTION = 500;
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const search = document.getElementById("search");
  const outcome = document.getElementById("outcome");
  const more = document.getElementById("more");
  const next = document.getElementById("next");
  let matching = rows;
  let limit = PORTION;

  const count = (number) => number.toLocaleString("en") + (number === 1 ? " project" : " projects");

  const show = (most) => {
    body.replaceChildren(...matching.slice(0, most));
    body.classList.add("ready");
    const left = matching.length - body.rows.length;
    more.hidden = left === 0;
    next.textContent = `Show ${Math.min(PORTION, left)} more`;
    const some = matching.length === rows.length ? "" : `${matching.length.toLocaleString("en")} of `;
    document.getElementById("shown").textContent = some + count(rows.length);
  };

  const texts = new Map();
  const text = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    matching = rows.filter(
      (row) =>
        (!outcome.value || row.className === outcome.value) && words.every((word) => text(row).includes(word)),
    );
    limit = PORTION;
    show(limit);
  };

  const heads = Array.from(table.tHead.rows[0].cells);
  const original = new Map(rows.map((row, place) => [row, place]));
  const sort = (head, column) => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const isNumber = "number" in head.dataset;
    const keys = new Map(
      rows.map((row) => {
        const told = row.cells[column].textContent.trim();
        return [row, isNumber ? (told === "" ? -1 : Number(told)) : told.toLowerCase()];
      }),
    );
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const order = isNumber ? (a, b) => keys.get(a) - keys.get(b) : (a, b) => compare(keys.get(a), keys.get(b));
    rows.sort((a, b) => (descending ? order(b, a) : order(a, b)) || original.get(a) - original.get(b));
    filter();
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head, column));
    head.replaceChildren(button);
  });
  search.addEventListener("input", filter);
  outcome.addEventListener("change", filter);
  next.addEventListener("click", () => show((limit += PORTION)));
  const controls = document.getElementById("controls");
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  // Print all matching rows.
  addEventListener("beforeprint", () => show(matching.length));
  addEventListener("afterprint", () => show(limit));
  show(limit);
})();
