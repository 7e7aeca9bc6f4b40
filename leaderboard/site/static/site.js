// Theme, sorting and filtering; without it the pages still say everything.
"use strict";
(() => {
  const root = document.documentElement;
  const THEMES = ["system", "light", "dark"];

  // Some browsers refuse storage to pages from disk; the choice then lasts as long as the page.
  const remembered = () => {
    try { return localStorage.getItem("gti-bench-theme"); } catch { return null; }
  };
  const remember = (theme) => {
    try { localStorage.setItem("gti-bench-theme", theme); } catch { return; }
  };
  const show = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  let theme = THEMES.includes(remembered()) ? remembered() : "system";
  show(theme);

  const startTheme = () => {
    const button = document.getElementById("theme");
    button.hidden = false;
    button.textContent = `Theme: ${theme}`;
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      show(theme);
      remember(theme);
      button.textContent = `Theme: ${theme}`;
    });
  };

  const valueOf = (row, column) => {
    const text = row.cells[column].dataset.sort;
    if (text === undefined) return null;
    const number = Number(text);
    return text !== "" && Number.isFinite(number) ? number : text;
  };
  const compare = (one, two) => {
    if (typeof one === "number" && typeof two === "number") return one - two;
    return String(one) < String(two) ? -1 : Number(String(one) > String(two));
  };

  const sort = (table, column) => {
    const heads = [...table.tHead.rows[0].cells];
    const before = heads[column].getAttribute("aria-sort");
    const text = !heads[column].classList.contains("num");
    const first = text ? "ascending" : "descending";
    const second = text ? "descending" : "ascending";
    const direction = before === first ? second : first;
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
    rows.sort(([one], [two]) => {
      // What is undefined stays last either way.
      if (one === null || two === null) return Number(one === null) - Number(two === null);
      return sign * compare(one, two);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };

  const startSorting = () => {
    for (const table of document.querySelectorAll("table.sortable")) {
      [...table.tHead.rows[0].cells].forEach((head, column) => {
        head.querySelector("button").addEventListener("click", () => sort(table, column));
      });
    }
  };

  const startFilter = () => {
    const form = document.querySelector("form.filter");
    if (!form) return;
    const words = document.getElementById("filter");
    const group = document.getElementById("group");
    const main = document.querySelectorAll("#scores tbody tr");
    const apply = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kept = new Set();
      for (const row of main) {
        const text = row.dataset.search.toLowerCase();
        const inGroup = !group || !group.value || row.dataset.group === group.value;
        if (inGroup && wanted.every((word) => text.includes(word))) kept.add(row.dataset.method);
      }
      for (const part of document.querySelectorAll("[data-method]")) {
        part.classList.toggle("filtered", !kept.has(part.dataset.method));
      }
      document.getElementById("count").textContent = `${kept.size} of ${main.length} shown`;
    };
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", apply);
    apply();
  };

  // A method chosen in the list, or clicked on in a figure, stands out in every figure and table.
  const startHighlight = () => {
    const choice = document.getElementById("highlight");
    if (!choice) return;
    const apply = () => {
      for (const part of document.querySelectorAll("[data-method]")) {
        part.classList.toggle("lit", choice.value !== "" && part.dataset.method === choice.value);
      }
      for (const figure of document.querySelectorAll("svg.figure")) {
        figure.classList.toggle("picked", figure.querySelector(".lit") !== null);
      }
    };
    choice.addEventListener("input", apply);
    document.addEventListener("click", (event) => {
      const part = event.target.closest("svg.figure .series, .legend.narrow li");
      if (!part) return;
      choice.value = choice.value === part.dataset.method ? "" : part.dataset.method;
      apply();
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    startTheme();
    startSorting();
    startFilter();
    startHighlight();
  });
})();
