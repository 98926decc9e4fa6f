// Takes photographs, asks the server, and shows the answer with its evidence.

import { element, percent, toggle } from "./elements.js";
import { alone, bars, group, stage, twins, zoomed } from "./evidence.js";
import { Refused, explain, keep, model, predict } from "./requests.js";

const facts = document.body.dataset;
const at = (id) => document.getElementById(id);
const most = Number(facts.photographs);
const largest = Number(facts.largestMegabytes);

const state = { views: [], selected: null, joint: null, refine: true, heat: true, chosen: null, asking: null };

const say = (words) => { at("status").textContent = words; };
const complain = (words) => at("errors").append(element("p", { class: "error" }, words));

const add = (files) => {
  at("errors").replaceChildren();
  for (const file of files) {
    if (state.views.length >= most) {
      complain(`At most ${most} photographs are answered together.`);
      break;
    }
    if (file.size > largest * 1e6) complain(`${file.name} has more than ${largest} megabytes; scale it down.`);
    else state.views.push({ file, url: URL.createObjectURL(file), answer: null, explained: null });
  }
  state.selected ??= state.views[0] ?? null;
  if (state.views.length) ask();
};

const leave = (view) => {
  state.views = state.views.filter((each) => each !== view);
  if (state.selected === view) state.selected = state.views[0] ?? null;
  URL.revokeObjectURL(view.url);
};

const ask = async () => {
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  state.joint = null;
  say("Looking at the photograph");
  render();
  try {
    await askAll(asking.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    refused(error);
  }
};

const askAll = async (signal) => {
  while (state.views.length) {
    const asked = [...state.views];
    try {
      const said = await predict(asked.map((view) => view.file), state.refine, signal);
      asked.forEach((view, index) => { view.answer = said.answers[index]; });
      state.joint = said.together;
      break;
    } catch (error) {
      // One of several cannot be read: the others are answered without it.
      if (!(error instanceof Refused) || error.photograph === null || !asked[error.photograph]) throw error;
      complain(error.message);
      leave(asked[error.photograph]);
    }
  }
  if (!state.views.length) return start();
  render();
  const best = (state.joint ?? state.selected.answer).top[0];
  say(`${best.class_name}, ${percent(best.probability)}`);
  await showEvidence(signal);
};

const showEvidence = async (signal) => {
  const view = state.selected;
  // Of several photographs: the evidence for what they say together, of classes that come near the best.
  const [best] = state.joint?.top ?? [];
  const near = (each) => each.probability >= Math.max(0.01, 0.05 * best.probability);
  const classes = (state.joint?.top ?? []).slice(0, 3).filter((each) => each === best || near(each)).map((each) => each.number);
  const asked = [state.refine, ...classes].join();
  if (view.explained?.asked !== asked) {
    view.explained = null;
    render();
    view.explained = { ...(await explain(view.file, state.refine, classes, signal)), asked };
  }
  render();
};

const refused = (error) => {
  if (error.status === 401) at("key").hidden = false;
  complain(error instanceof Refused ? error.message : `The page failed: ${error.message}`);
  say("");
  if (!state.selected?.answer) start(false);
  else render();
};

const start = (clean = true) => {
  state.asking?.abort();
  state.views.forEach((view) => URL.revokeObjectURL(view.url));
  Object.assign(state, { views: [], selected: null, joint: null, chosen: null });
  if (clean) say("");
  render();
};

const select = (view) => {
  if (view === state.selected) return;
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  Object.assign(state, { selected: view, chosen: null });
  showEvidence(asking.signal).catch((error) => error.name !== "AbortError" && refused(error));
};

// What is shown follows from the state.

const thumbnails = () =>
  state.views.map((view) =>
    element(
      "li",
      {},
      element(
        "button",
        { class: "thumbnail", type: "button", "aria-pressed": String(view === state.selected), on: { click: () => select(view) } },
        element("img", { src: view.url, alt: `Evidence in ${view.file.name}: ` }),
        element("span", {}, view.answer ? `${view.answer.top[0].class_name} ${percent(view.answer.top[0].probability)}` : "…"),
      ),
    ),
  );

const verdict = (view) => {
  const said = state.joint ?? view.answer;
  const [best] = said.top;
  const { explained } = view;
  const seen = new Set((explained?.maps ?? []).map((map) => map.class_name));
  const first = explained?.first_answer;
  const notes = [];
  if (first && !state.joint) {
    notes.push(
      first.class_name === best.class_name
        ? `Before the evidence: ${percent(first.probability)}`
        : `Before the evidence: ${first.class_name}, ${percent(first.probability)}`,
    );
  }
  if (best.probability < 0.5) notes.push("It is not sure.");
  if (view.answer.warning) notes.push(view.answer.warning);
  return element(
    "div",
    {},
    element("p", { class: "eyebrow" }, state.joint ? `${state.joint.photographs} photographs together say` : "This looks like"),
    element("h1", { class: "name", tabindex: "-1" }, best.class_name),
    element("p", { class: "share" }, percent(best.probability)),
    notes.map((words) => element("p", { class: "note" }, words)),
    bars(said.top, chosenClass(view), (name) => { state.chosen = name; state.heat = true; render(); }, seen),
    facts.refines === "true"
      ? element("div", { class: "refine" }, toggle("Let the evidence decide", state.refine, (on) => { state.refine = on; state.chosen = null; ask(); }))
      : null,
  );
};

const chosenClass = (view) => {
  const seen = (view.explained?.maps ?? []).map((map) => map.class_name);
  const best = (state.joint ?? view.answer)?.top[0].class_name;
  return [state.chosen, best, seen[0]].find((name) => seen.includes(name)) ?? null;
};

const result = (view) => {
  const { explained } = view;
  const shown = stage(view, chosenClass(view), state.heat, (on) => { state.heat = on; render(); });
  const parts = [element("div", { class: "answer" }, shown, verdict(view))];
  if (!explained) parts.push(element("p", { class: "waiting" }, "Looking for the evidence"));
  else {
    if (explained.twins) parts.push(twins(explained, facts.trainingPhotographs === "true"));
    else if (explained.without_twins) parts.push(alone(explained.without_twins));
    if (explained.evidence) parts.push(zoomed(explained.evidence));
    parts.push(...explained.groups.map(group));
  }
  return parts;
};

const render = () => {
  const { views, selected } = state;
  const focus = document.activeElement?.closest("#result") ? focused() : null;
  at("ask").hidden = views.length > 0;
  at("photographs").hidden = !views.length;
  at("photographs").classList.toggle("single", views.length === 1);
  at("thumbnails").replaceChildren(...thumbnails());
  at("result").hidden = !selected;
  if (!selected) at("result").replaceChildren();
  else if (selected.answer) at("result").replaceChildren(...result(selected));
  else at("result").replaceChildren(element("p", { class: "waiting" }, "Looking at the photograph"));
  focus?.();
};

// What had the focus is made anew, and gets it again.
const focused = () => {
  const all = () => [...at("result").querySelectorAll("button, input, a")];
  const place = all().indexOf(document.activeElement);
  return place < 0 ? null : () => all()[place]?.focus();
};

// Where photographs come from.

for (const [button, input] of [["choose", "files"], ["add", "files"], ["take", "camera"]]) {
  at(button).addEventListener("click", () => at(input).click());
}
for (const input of [at("files"), at("camera")]) {
  input.addEventListener("change", () => { const files = [...input.files]; input.value = ""; add(files); });
}
at("again").addEventListener("click", () => { at("errors").replaceChildren(); start(); at("choose").focus(); });

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) { event.preventDefault(); add(files); }
});
let inside = 0;
document.addEventListener("dragenter", (event) => { event.preventDefault(); inside += 1; document.body.classList.add("dragging"); });
document.addEventListener("dragleave", () => { inside -= 1; if (inside <= 0) document.body.classList.remove("dragging"); });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  document.body.classList.remove("dragging");
  const files = [...(event.dataTransfer?.files ?? [])];
  if (files.length) add(files);
});

// Of a server that asks for its key, the page says what answers once it has the key.
const introduce = async () => {
  try {
    const said = await model();
    document.title = `${said.name} · Foveate`;
    at("model-name").textContent = said.name;
    at("model-method").textContent = said.method;
    at("class-count").textContent = said.class_names.length;
    at("dataset").textContent = said.dataset;
    at("classes").replaceChildren(...said.class_names.map((name) => element("li", {}, name)));
    at("known").hidden = false;
    Object.assign(facts, { refines: said.refines, trainingPhotographs: said.training_photographs });
    if (state.views.length) ask();
  } catch (error) {
    refused(error);
  }
};

at("key").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(at("key-value").value);
  at("key").hidden = true;
  at("errors").replaceChildren();
  introduce();
});
if (facts.needsKey === "true") {
  if (sessionStorage.getItem("key") === null) at("key").hidden = false;
  else introduce();
}
