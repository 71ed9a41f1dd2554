"use strict";

function sortKey(row, column) {
  const cell = row.cells[column];
  if (cell.classList.contains("number")) {
    return "value" in cell.dataset ? Number(cell.dataset.value) : null;
  }
  return cell.textContent.trim();
}

function compareKeys(first, second) {
  if (typeof first === "number") return first - second;
  return first.localeCompare(second, "en", { numeric: true });
}

/* what is missing comes last, whichever way the others are sorted */
function sortRows(table, heading) {
  const ascending = heading.getAttribute("aria-sort") !== "ascending";
  const keyed = Array.from(table.tBodies[0].rows, (row) => [sortKey(row, heading.cellIndex), row]);
  const present = keyed.filter(([key]) => key !== null);
  const missing = keyed.filter(([key]) => key === null);
  present.sort(([first], [second]) => (ascending ? 1 : -1) * compareKeys(first, second));
  table.tBodies[0].append(...[...present, ...missing].map(([, row]) => row));
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortRows(table, button.closest("th")));
  }
}

for (const filter of document.querySelectorAll(".filter")) {
  const rows = filter.nextElementSibling.querySelectorAll("tbody tr");
  filter.addEventListener("change", ({ target }) => {
    for (const row of rows) {
      if (row.dataset.label === target.value) row.hidden = !target.checked;
    }
  });
}
