// Filters and sorting of the scan table. Nothing is fetched, nothing is stored.
"use strict";

(function () {
  const table = document.getElementById("scan-table");
  if (!table) {
    return;
  }
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const panel = document.getElementById("filters");
  const selects = Array.from(panel.querySelectorAll("select"));
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");

  function text(row, column) {
    return row.cells[column].textContent.trim();
  }

  function filter() {
    const wanted = selects
      .filter((select) => select.value !== "")
      .map((select) => [Number(select.dataset.column), select.value]);
    const word = search.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits =
        wanted.every(([column, value]) => text(row, column) === value) &&
        (word === "" || text(row, 0).toLowerCase().includes(word));
      row.hidden = !fits;
      count += fits ? 1 : 0;
    }
    shown.textContent = `${count} of ${rows.length} scans`;
  }

  function sortBy(column, header) {
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) {
      other.removeAttribute("aria-sort");
    }
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const numeric = header.classList.contains("number");
    const value = (row) => {
      const number = Number.parseFloat(text(row, column).replace("−", "-"));
      return numeric ? number : text(row, column);
    };
    const keyed = rows.map((row, place) => ({ row, place, value: value(row) }));
    keyed.sort((a, b) => {
      // Rows without a number stay at the end in both directions.
      if (numeric && (Number.isNaN(a.value) || Number.isNaN(b.value))) {
        return Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value)) || a.place - b.place;
      }
      const order = numeric ? a.value - b.value : a.value.localeCompare(b.value, "en", { numeric: true });
      return (down ? -order : order) || a.place - b.place;
    });
    body.append(...keyed.map((item) => item.row));
  }

  Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sortBy(column, header));
    header.replaceChildren(button);
  });
  selects.forEach((select) => select.addEventListener("change", filter));
  search.addEventListener("input", filter);
  document.getElementById("clear").addEventListener("click", () => {
    selects.forEach((select) => {
      select.value = "";
    });
    search.value = "";
    filter();
  });
  panel.hidden = false;
  filter();
})();
