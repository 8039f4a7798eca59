// As one types, what has all words in its own title, caption and name or in those of its card stays.
const search = document.querySelector("#search");
const sections = [...document.querySelectorAll("section")];
const show = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const count = { table: 0, figure: 0 };
  for (const section of sections) {
    let found = 0;
    for (const item of section.querySelectorAll("li")) {
      const told = `${item.dataset.words} ${section.dataset.words}`;
      item.hidden = !words.every((word) => told.includes(word));
      if (!item.hidden) {
        found += 1;
        count[item.dataset.kind] += 1;
      }
    }
    section.hidden = words.length > 0 && found === 0;
  }
  document.querySelector("#count").textContent = `${count.table} tables, ${count.figure} figures`;
  document.querySelector("#none").hidden = !words.length || count.table + count.figure > 0;
};
search.addEventListener("input", show);
addEventListener("pageshow", show);
