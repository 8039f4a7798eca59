// Tables are sorted by a click on a head, or by Enter or Space where it has the focus: numbers from the highest, text
// from A; the third click brings back the order of the page. What belongs together stands in one tbody, or is a line.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const groups = table.tBodies.length > 1 ? [...table.tBodies] : [...table.tBodies[0].rows];
  const parent = groups.length && groups[0].parentNode;
  const text = (group, column) => {
    const cell = (group.rows ? group.rows[0] : group).cells[column];
    return (cell.querySelector("span") ?? cell.firstChild ?? cell).textContent.trim();
  };
  const number = (words) => {
    const found = /^[+\u2212-]?[\d,]*\.?\d+(e[+-]?\d+)?(?=$|[\s%°])/.exec(words);
    return found ? Number(found[0].replaceAll(",", "").replace("\u2212", "-")) : NaN;
  };
  const sort = (column, order) => {
    const words = new Map(groups.map((group) => [group, text(group, column)]));
    const empty = (group) => ["", "–"].includes(words.get(group));
    const numbers = groups.every((group) => empty(group) || !isNaN(number(words.get(group))));
    const compare = (a, b) => numbers
      ? number(words.get(b)) - number(words.get(a))
      : words.get(a).localeCompare(words.get(b), undefined, { numeric: true });
    const sorted = order ? [...groups].sort((a, b) => empty(a) - empty(b) || (empty(a) ? 0 : order * compare(a, b))) : groups;
    parent.append(...sorted);
    heads.forEach((head, index) => {
      const falls = numbers === (order === 1);
      if (order && index === column) head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    table.classList.toggle("sorted", Boolean(order));
  };
  if (groups.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    if (!button.textContent) button.setAttribute("aria-label", "Name");
    let order = 0;
    button.addEventListener("click", () => {
      order = head.hasAttribute("aria-sort") ? (order === 1 ? -1 : 0) : 1;
      sort(column, order);
    });
    head.append(button);
  });
}
