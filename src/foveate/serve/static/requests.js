// What the page asks the server.

export class Refused extends Error {
  constructor(status, fault) {
    super(fault.sentence);
    this.status = status;
    this.photograph = fault.photograph;
  }
}

let key = sessionStorage.getItem("key") ?? "";

export const keep = (value) => {
  key = value;
  sessionStorage.setItem("key", value);
};

const ask = async (path, options = {}) => {
  let response;
  try {
    response = await fetch(path, { ...options, headers: key ? { "X-API-Key": key } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { sentence: "The server cannot be reached. Is it still running?", photograph: null });
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => null);
  throw new Refused(response.status, said?.error ?? { sentence: `The server answers ${response.status}.`, photograph: null });
};

const form = (files) => {
  const data = new FormData();
  for (const file of files) data.append("photographs", file, file.name || "photograph");
  return data;
};

export const model = async () => (await ask("/v1/model")).json();

export const predict = async (files, refine, signal) =>
  (await ask(`/v1/predict?top=5&together=${files.length > 1}&refine=${refine}`, { method: "POST", body: form(files), signal })).json();

export const explain = async (file, refine, classes, signal) =>
  (await ask(`/v1/explain?top=5&refine=${refine}${classes.map((number) => `&classes=${number}`).join("")}`, { method: "POST", body: form([file]), signal })).json();

const typical = new Map();

// The address of a typical training photograph of a class; null where none can be shown.
export const typicalPhotograph = (number) => {
  if (!typical.has(number)) {
    typical.set(
      number,
      ask(`/v1/classes/${number}/photograph`)
        .then((response) => response.blob())
        .then((blob) => URL.createObjectURL(blob))
        .catch((error) => {
          if (error.status !== 404) typical.delete(number);
          return null;
        }),
    );
  }
  return typical.get(number);
};
