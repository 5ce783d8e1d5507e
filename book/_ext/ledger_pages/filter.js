// Filters of the ledger's table, and its wide formulas.  A classic script, so that it runs from a file as well.
(() => {
  const form = document.getElementById("ledger-filters");
  const rows = [...document.querySelectorAll("#ledger-table tbody tr")];
  const [words, shown] = [form.querySelector("input"), form.querySelector("output")];
  const show = () => {
    const chosen = [...form.querySelectorAll("select")].map((menu) => menu.value).filter(Boolean);
    const sought = words.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = chosen.every((name) => row.classList.contains(name));
      row.hidden = !(fits && row.textContent.toLowerCase().includes(sought));
      count += !row.hidden;
    }
    shown.value = `${count} of ${rows.length} shown`;
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  // A link to a row that a filter hides would lead nowhere.
  addEventListener("hashchange", () => {
    if (document.getElementById(location.hash.slice(1))?.hidden) {
      form.reset();
      show();
      document.getElementById(location.hash.slice(1)).scrollIntoView();
    }
  });
  form.hidden = false;
  // A formula does not break, and would widen its whole column: one that is too wide scrolls.
  const fit = () => {
    for (const formula of document.querySelectorAll("#ledger-table mjx-container")) {
      formula.classList.remove("wide");
      const room = formula.closest("p").clientWidth;
      formula.classList.toggle("wide", room > 0 && formula.offsetWidth > room);
    }
  };
  addEventListener("load", () => MathJax.startup.promise.then(fit));
  addEventListener("resize", fit);
})();
