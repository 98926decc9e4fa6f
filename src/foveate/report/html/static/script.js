"use strict";
(() => {
  // What is closed on the screen is printed too.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((each) => { each.open = true; });
  });
  window.addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));

  const holder = document.getElementById("gallery-data");
  const data = holder ? JSON.parse(holder.textContent) : window.foveateGallery;
  const gallery = document.getElementById("gallery-cards");
  if (!gallery || !data) return;
  const names = data.classes;
  const cards = data.cards.map(([n, name, truth, answer, sure, before, others, src]) => ({
    n, name, truth: names[truth], answer: names[answer], sure, before: names[before],
    others: others.map((each) => names[each]), right: truth === answer, src,
  }));
  const others = JSON.parse(gallery.dataset.others);
  const control = (name) => document.getElementById("gallery-" + name);
  const page = 60;
  let shown = page;

  const percent = (share) => (100 * share).toFixed(0) + "%";
  const element = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };

  function drawn(card) {
    const figure = element("figure");
    figure.id = "photograph-" + card.n;
    const link = element("a");
    link.href = "#" + (document.getElementById("wrong-" + card.n) ? "wrong-" : "photograph-") + card.n;
    if (card.src) {
      const image = element("img");
      image.src = card.src;
      image.loading = "lazy";
      image.width = image.height = 128;
      image.alt = card.truth + ", photograph " + card.name;
      link.append(image);
    } else {
      link.append(element("div", card.name, "blank small soft"));
    }
    const words = element("figcaption");
    const answer = element("b");
    answer.append(element("span", card.right ? "✓ " : "✗ ", "mark " + (card.right ? "right" : "wrong")));
    answer.append(card.answer + " " + percent(card.sure));
    words.append(answer);
    if (!card.right) words.append(element("div", "really " + card.truth));
    if (card.before && card.before !== card.answer) words.append(element("div", "before the evidence: " + card.before));
    card.others.forEach((name, index) => {
      if (name !== card.answer) words.append(element("div", others[index] + ": " + name));
    });
    const name = element("div", card.name.split("/").pop(), "soft");
    name.title = card.name;
    words.append(name);
    figure.append(link, words);
    return figure;
  }

  const filters = {
    all: () => true,
    wrong: (card) => !card.right,
    right: (card) => card.right,
    changed: (card) => card.before && card.before !== card.answer,
    disagree: (card) => card.others.some((name) => name !== card.answer),
  };
  const orders = {
    "wrong first": (a, b) => a.right - b.right || b.sure - a.sure,
    "least sure first": (a, b) => a.sure - b.sure,
    "surest first": (a, b) => b.sure - a.sure,
    class: (a, b) => a.truth.localeCompare(b.truth) || a.n - b.n,
    name: (a, b) => a.name.localeCompare(b.name),
  };

  function show() {
    const words = control("search").value.toLowerCase();
    const chosen = cards
      .filter(filters[control("filter").value])
      .filter((card) => !control("class").value || [card.truth, card.answer].includes(control("class").value))
      .filter((card) => !words || (card.name + " " + card.truth + " " + card.answer).toLowerCase().includes(words))
      .sort(orders[control("order").value]);
    gallery.replaceChildren(...chosen.slice(0, shown).map(drawn));
    control("count").textContent = chosen.length + " of " + cards.length + " photographs" +
      (chosen.length > shown ? ", the first " + shown + " shown" : "");
    control("more").hidden = chosen.length <= shown;
  }

  const classes = [...new Set(cards.map((card) => card.truth))].sort((a, b) => a.localeCompare(b));
  control("class").append(...classes.map((name) => new Option(name, name)));
  ["filter", "class", "order", "search"].forEach((name) =>
    control(name).addEventListener("input", () => { shown = page; show(); }));
  control("more").addEventListener("click", () => { shown += page; show(); });

  function follow() {
    const match = /^#(photograph|wrong)-(\d+)$/.exec(location.hash);
    if (!match) return;
    const details = document.getElementById("wrong-" + match[2]);
    if (match[1] === "wrong" && details) { details.open = true; details.scrollIntoView(); return; }
    const wanted = cards.find((card) => String(card.n) === match[2]);
    if (wanted && !document.getElementById("photograph-" + match[2])) {
      control("filter").value = "all";
      control("class").value = "";
      control("search").value = wanted.name;
      show();
    }
    document.getElementById("photograph-" + match[2])?.scrollIntoView();
  }
  window.addEventListener("hashchange", follow);
  show();
  follow();
})();
