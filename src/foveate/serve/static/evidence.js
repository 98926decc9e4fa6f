// The parts of an answer: the photograph, the classes, and what speaks for them.

import { element, percent, picture, placed, toggle, within } from "./elements.js";
import { typicalPhotograph } from "./requests.js";

const EDGE = 0.002; // of a side

// A thin line around what the network saw, where that is not the whole photograph, and frames around the evidence.
const frames = (explained, chosen) => {
  const { window } = explained;
  const cut = Math.max(window.left, window.top, 1 - window.right, 1 - window.bottom) > EDGE;
  const seen = cut ? [element("div", { class: "seen", vars: placed(window), "aria-hidden": "true" })] : [];
  const found = boxes(explained, chosen);
  const words = [cut ? "Dashed: the part that the network saw." : "", found.length ? "Framed: the evidence that is cut out below." : ""];
  return { marks: [...seen, ...found], words: words.filter(Boolean).join(" ") };
};

// The photograph in colour, and over it where a class is seen.
export const stage = (view, chosen, on, changed) => {
  const { explained, file } = view;
  const layers = (explained?.maps ?? []).map((map) =>
    element(
      "div",
      { class: `layer${on && map.class_name === chosen ? "" : " off"}`, vars: placed(explained.window) },
      picture(map.picture, ""),
    ),
  );
  const whole = explained
    ? picture(explained.photograph, `The photograph ${file.name}`)
    : element("img", { src: view.url, alt: `The photograph ${file.name}` });
  const words = chosen && layers.length ? `Show where it sees ${chosen}` : null;
  const { marks, words: legend } = explained && on && layers.length ? frames(explained, chosen) : { marks: [], words: "" };
  return element(
    "figure",
    {},
    element("div", { class: "stage" }, whole, layers, marks),
    words
      ? element("figcaption", { class: "tools" }, toggle(words, on, changed), legend ? element("span", { class: "quiet" }, legend) : null)
      : null,
  );
};

export const bars = (top, chosen, choose, seen) =>
  element(
    "ul",
    { class: "bars", "aria-label": "The best classes" },
    top.map((each) => {
      const parts = [
        element("span", { class: "class-name" }, each.class_name),
        element("span", { class: "number" }, percent(each.probability)),
        element("span", { class: "track" }, element("i", { vars: { share: `${each.probability * 100}%` } })),
      ];
      const name = { class: "row-of-class" };
      return element(
        "li",
        {},
        seen.has(each.class_name)
          ? element(
              "button",
              { ...name, type: "button", "aria-pressed": String(each.class_name === chosen), on: { click: () => choose(each.class_name) } },
              parts,
            )
          : element("div", name, parts),
      );
    }),
  );

const cropped = (explained, heat, words) => {
  // The window of the photograph that the network looks at, as large as its stage.
  const { left, top, right, bottom } = explained.window;
  const [width, height] = [right - left, bottom - top];
  const whole = placed({ left: -left / width, top: -top / height, right: (1 - left) / width, bottom: (1 - top) / height });
  return element(
    "div",
    { class: "stage", vars: { ratio: (width * explained.photograph.width) / (height * explained.photograph.height) } },
    element("div", { class: "layer", vars: whole }, picture(explained.photograph, words)),
    element("div", { class: "layer", vars: placed({ left: 0, top: 0, right: 1, bottom: 1 }) }, picture(heat, "")),
  );
};

const LITTLE = 0.25; // of the glow that is seen
const SAME = 0.005; // cosine distance of a photograph to itself, rounded

const twin = (explained, one, other, heat, most, typical) => {
  const pair = element(
    "div",
    { class: "pair alone" },
    element(
      "figure",
      {},
      cropped(explained, heat, `Where the photograph speaks for ${one.class_name} and not for ${other.class_name}`),
      element("figcaption", {}, most < LITTLE ? "Your photograph: little of it speaks for this one" : "Your photograph"),
    ),
  );
  if (typical) {
    typicalPhotograph(one.number).then((address) => {
      if (!address) return;
      pair.classList.remove("alone");
      const words = `A typical training photograph of ${one.class_name}`;
      pair.append(
        element(
          "figure",
          {},
          element("img", { class: "typical", src: address, alt: words }),
          element("figcaption", {}, "A typical training photograph"),
        ),
      );
    });
  }
  return element(
    "li",
    { class: "card twin" },
    element("h3", {}, `For ${one.class_name}`, element("small", {}, `and not ${other.class_name}`)),
    pair,
  );
};

export const twins = (explained, typical) => {
  const { first, second } = explained.twins;
  return element(
    "section",
    { class: "part", "aria-labelledby": "twins" },
    element("h2", { id: "twins" }, "Why this one, and not its twin?"),
    element("p", {}, `${explained.twins.words} Where it glows, the photograph speaks for the one and against the other; both glow on one scale.`),
    element(
      "ul",
      { class: "twins" },
      twin(explained, first, second, explained.twins.for_first, explained.twins.most_for_first, typical),
      twin(explained, second, first, explained.twins.for_second, explained.twins.most_for_second, typical),
    ),
  );
};

export const alone = (words) =>
  element(
    "section",
    { class: "part", "aria-labelledby": "twins" },
    element("h2", { id: "twins" }, "Why this one, and not its twin?"),
    element("p", {}, words),
  );

const round = (each, number) =>
  element(
    "div",
    { class: "round" },
    element(
      "figure",
      {},
      picture(each.patch, `Evidence ${number + 1}, cut out of the photograph`),
      element("figcaption", {}, `Evidence ${number + 1}: ${percent(each.probability)} of this class`),
    ),
    each.nearest
      ? element(
          "figure",
          {},
          picture(each.nearest.picture, `The nearest evidence in training, of ${each.nearest.photograph}`),
          element(
            "figcaption",
            {},
            each.nearest.distance < SAME
              ? "Nearest in training: it may be this very photograph"
              : `Nearest in training, distance ${each.nearest.distance.toFixed(2)}`,
          ),
        )
      : null,
  );

const judged = (each, best) => {
  const terms = each.terms.every((term) => term >= 0) && best > 0;
  return element(
    "li",
    { class: `card${each.chosen ? " chosen" : ""}` },
    element("h3", {}, each.class_name, element("small", {}, `Score ${each.score.toFixed(3)}${each.chosen ? ", chosen" : ""}`)),
    element("div", { class: "rounds" }, each.rounds.map(round)),
    terms
      ? element(
          "div",
          { class: "terms", "aria-hidden": "true" },
          each.terms.map((term, index) => element("i", { vars: { share: `${(term / best) * 100}%`, term: Math.min(index, 3) } })),
        )
      : null,
  );
};

export const zoomed = (evidence) => {
  const best = Math.max(...evidence.classes.map((each) => each.score));
  return element(
    "section",
    { class: "part", "aria-labelledby": "zoomed" },
    element("h2", { id: "zoomed" }, evidence.changed ? "The evidence changed the answer" : "The evidence for each class"),
    element("p", {}, evidence.reason),
    element("p", {}, "The bars add up the first answer, then each piece of evidence."),
    element("ul", { class: "judged" }, evidence.classes.map((each) => judged(each, best))),
  );
};

const boxes = (explained, chosen) =>
  (explained.evidence?.classes ?? [])
    .filter((each) => each.class_name === chosen)
    .flatMap((each) => each.rounds)
    .map((each) => element("div", { class: "box", vars: placed(within(each.box, explained.window)), "aria-hidden": "true" }));

export const group = (each, index) =>
  element(
    "section",
    { class: "part", "aria-labelledby": `group-${index}` },
    element("h2", { id: `group-${index}` }, each.title),
    each.words ? element("p", {}, each.words) : null,
    element(
      "ul",
      { class: "panels" },
      each.panels.map((panel) =>
        element("li", {}, element("figure", {}, picture(panel.picture, panel.words), element("figcaption", {}, panel.words))),
      ),
    ),
  );
