"use strict";

const at = (id) => document.getElementById(id);
const FIELDS = [...document.querySelectorAll("[data-set]")];
const history = [];
let answer = null;
let kept = null;
let running = null;
let stated = null;
let wrong = null;
const read = { problem: null };
const words = new Map();
const labels = [];

const say = (text, ...values) => {
  const said = at("lang").value === "zh" ? words.get(text) ?? text : text;
  return values.length ? said.replace(/\{(\d)\}/g, (_, place) => String(values[place - 1])) : said;
};

const PHRASES = [
  "nothing", "a month", "hardware", "from", "From", "To", "replicas", "grade", "kept", "now", "deployment that wins", "no plan",
  "proven the cheapest of what was enumerated", "the best found in time", "no deployment keeps every promise",
  "{1} a month: {2} from {3}; {4}, grade {5}.", "No plan ({1}). What would help:", "{1} from {2} to {3}",
  "{1}: then {2} a month", "replica", "prefill worker", "prefill workers", "decode worker", "decode workers",
  "on demand", "spot", "reserved 1y", "reserved 3y", "purchase", "owned", "what they can carry", "the batch", "hours", "{1}: {2} {3}; {4}.", "infeasible", "unknown", "feasible", "optimal",
  "{1}: with {2} instead of {3} {4} {5} breaks: {6} with its margin, at most {7}.", "Cancelled.", "{1}, {2} s",
  "{1} is saved.", "{1} steps, not replayed.", "Cost a month over {1}", "Working", "Drawing", "Writing",
  "A quote has a provider, a card, cards in a node, a price and a currency.",
  "The quote of {1} is added. Choose Answer.", "{1} is open. Choose Answer.", "{1} is no saved question.",
];

function collect() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.textContent.trim() && !node.parentElement.closest("textarea, #lang")) labels.push([node, "textContent", node.textContent.trim()]);
  }
  document.querySelectorAll("[aria-label]").forEach((one) => labels.push([one, "ariaLabel", one.ariaLabel]));
  labels.push([document, "title", document.title]);
}

async function learn(texts, of = "answers") {
  const unknown = [...new Set(texts)].filter((text) => text && !words.has(text));
  if (at("lang").value === "en" || !unknown.length) return;
  const headers = { "Content-Type": "application/json" };
  if (at("token").value) headers.Authorization = `Bearer ${at("token").value}`;
  const body = JSON.stringify({ texts: unknown.slice(0, 500).map((text) => text.slice(0, 1000)), of });
  const response = await fetch("/v1/words", { method: "POST", headers, body });
  if (!response.ok) return; // English then, until the next answer
  const told = await response.json();
  told.texts.forEach((text, index) => words.set(unknown[index], text));
}

const sentences = (told) => [
  ...(told.plans[0]?.minimality ?? []).map((one) => one.reason), ...(told.quotes ?? []).map((one) => one.reason),
].filter(Boolean);

async function speak() {
  document.documentElement.lang = at("lang").value === "zh" ? "zh-CN" : "en";
  await learn([...labels.map(([, , text]) => text), ...PHRASES, ...(answer ? sentences(answer) : [])]);
  labels.forEach(([where, what, text]) => { where[what] = say(text); });
  numbers();
  if (answer) tell(answer);
  if (wrong) await wrong();
}

const state = () => ({
  problem: at("problem").value,
  quotes: at("quotes").value,
  simulate: at("simulate").checked,
  workload: at("workload").value,
  fields: Object.fromEntries(FIELDS.map((field) => [field.dataset.set, field.value])),
});

const slider = (field) => field.parentElement.querySelector("input[type=range]");

function slide() {
  FIELDS.filter(slider).forEach((field) => {
    const value = field.value === "" ? statedValue(field) : Number(field.value);
    if (value === null || !Number.isFinite(value)) {
      slider(field).value = slider(field).min;
      return;
    }
    if (value > Number(slider(field).max)) slider(field).max = String(value * 2);
    if (value < Number(slider(field).min)) slider(field).min = String(value / 2);
    slider(field).value = String(value);
  });
}

function statedValue(field) {
  let found = field.dataset.of === "workload" ? stated?.workloads.find((one) => one.name === at("workload").value) : stated;
  for (const key of field.dataset.set.split(".")) found = found?.[key];
  if (found && typeof found === "object" && !Array.isArray(found)) found = found.p95 ?? found.p90 ?? found.p50 ?? found.p99;
  return typeof found === "number" ? found : null;
}

function show(saved) {
  at("problem").value = String(saved.problem ?? "");
  at("quotes").value = String(saved.quotes ?? "");
  at("simulate").checked = saved.simulate !== false;
  FIELDS.forEach((field) => { field.value = String(saved.fields?.[field.dataset.set] ?? ""); });
  name([String(saved.workload ?? "")].filter(Boolean));
  slide();
}

function name(workloads) {
  const chosen = at("workload").value;
  if (!workloads.length) return;
  at("workload").replaceChildren(...workloads.map((one) => new Option(one, one)));
  if (workloads.includes(chosen)) at("workload").value = chosen;
}

function edits() {
  const used = FIELDS.filter((field) => field.value.trim() !== "");
  return used.map((field) => {
    const base = field.dataset.of === "workload" ? `workloads.${at("workload").value}.` : "";
    const value = field.dataset.list ? `[${field.value}]` : field.value;
    return `${base}${field.dataset.set}=${value}`;
  });
}

const question = () => ({ set: edits(), simulate: at("simulate").checked });

async function ask(command, more) {
  const headers = { "Content-Type": "application/json" };
  if (at("token").value) headers.Authorization = `Bearer ${at("token").value}`;
  const body = JSON.stringify({ problem: at("problem").value, quotes: at("quotes").value, ...more });
  const response = await fetch(`/v1/${command}`, { method: "POST", headers, body, signal: running.signal });
  if (response.status === 401) {
    at("token").hidden = at("token-label").hidden = false;
    at("token").focus();
  }
  const told = await response.json();
  if (!response.ok) throw Object.assign(new Error(told.error), { findings: told.findings });
  return told;
}

function cell(text, number, title) {
  const made = document.createElement("td");
  made.dataset.label = title;
  made.textContent = text ?? "";
  if (number) made.className = "number";
  return made;
}

function table(where, titles, rows) {
  const head = document.createElement("tr");
  head.append(...titles.map((title, at) => Object.assign(document.createElement("th"),
    { textContent: title, scope: "col", className: typeof rows[0]?.[at] === "number" ? "number" : "" })));
  const lines = rows.map((row) => {
    const line = document.createElement("tr");
    line.append(...row.map((value, at) => cell(typeof value === "number" ? value.toLocaleString("en") : value, typeof value === "number", titles[at])));
    return line;
  });
  where.replaceChildren(head, ...lines);
}

const shown = (value) => (value === null ? say("nothing") : typeof value === "object" ? JSON.stringify(value) : String(value));
const money = (plan) => `${plan.monthly_cost.toLocaleString("en", { minimumFractionDigits: 2 })} ${plan.currency}`;
const each = (list, read) => list.map(read).join("; ");
const hardware = (plan) => each(plan.nodes, (node) => `${(node.count * node.gpus_per_node).toLocaleString("en")}x ${node.gpu.replaceAll("_", " ").toUpperCase()}`);
const seller = (plan) => each(plan.nodes, (node) => `${node.provider}, ${say(node.tier.replaceAll("_", " "))}`);
const setup = (plan) => each(plan.groups, (group) => `${group.replicas} x ${group.weight_quant}, TP${group.tensor_parallel}`);

function tell(told) {
  const best = told.plans[0];
  at("findings").replaceChildren();
  if (best) {
    const proof = say(best.proven ? "proven the cheapest of what was enumerated" : "the best found in time");
    at("status").textContent = say("{1} a month: {2} from {3}; {4}, grade {5}.", money(best), hardware(best), seller(best), proof, best.grade);
  } else {
    at("status").textContent = say("No plan ({1}). What would help:", say(told.status));
    list(told.relaxations.map((way) => {
      const edited = [way, ...(way.also ?? [])].map((one) => say("{1} from {2} to {3}", one.change, shown(one.from), shown(one.to)));
      return say("{1}: then {2} a month", edited.join(", "), way.monthly_cost.toLocaleString("en"));
    }));
  }
  const rows = told.plans.map((plan) => [plan.rank, money(plan), hardware(plan), seller(plan), setup(plan), plan.grade]);
  const fewer = best ? (best.minimality ?? []).map(less).filter(Boolean) : [];
  fill("fewer", fewer);
  fill("quoted", (told.quotes ?? []).map((one) => `${one.offer_id}: ${say(one.reason)}`));
  table(at("plans"), told.plans.length ? ["#", ...["a month", "hardware", "from", "replicas", "grade"].map((title) => say(title))] : [], rows);
  compare();
}

function fill(id, sentences) {
  at(`${id}-title`).hidden = sentences.length === 0;
  at(id).replaceChildren(...sentences.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

const promiseName = (path) => path.replace(/^.*\.slo\.(ttft|tpot|e2e)_m?s(?:\.(p\d+))?$/, (_, metric, part) => [metric.toUpperCase(), part].filter(Boolean).join(" "));

function less(one) {
  const role = one.role === "serve" ? "replica" : `${one.role} worker`;
  const kind = say(one.replicas === 1 ? role : `${role}s`);
  if (!one.fewer) return one.reason ? say("{1}: {2} {3}; {4}.", one.workload, one.replicas, kind, say(one.reason)) : "";
  const { replicas, promise, replayed, margin, limit } = one.fewer;
  const [name, factor, unit] = promise === "saturation" ? [say("what they can carry"), 100, "%"]
    : promise.endsWith("within_hours") ? [say("the batch"), 1 / 3600, say("hours")] : [promiseName(promise), 1000, "ms"];
  const shownAs = (value) => `${Number((value * factor).toPrecision(3)).toLocaleString("en")} ${unit}`;
  return say("{1}: with {2} instead of {3} {4} {5} breaks: {6} with its margin, at most {7}.", one.workload, replicas, one.replicas, kind, name, shownAs(replayed * margin), shownAs(limit));
}

function compare() {
  at("compared").hidden = !(kept && answer);
  if (!kept || !answer) return at("comparison").replaceChildren();
  const one = (title, read) => [say(title), read(kept), read(answer)];
  const of = (read) => (told) => (told.plans[0] ? read(told.plans[0]) : say(told.status));
  table(at("comparison"), ["", say("kept"), say("now")], [
    one("a month", of(money)), one("GPUs", of((plan) => String(plan.gpus))), one("hardware", of(hardware)),
    one("from", of(seller)), one("replicas", of(setup)), one("grade", of((plan) => plan.grade)),
  ]);
}

function list(sentences) {
  at("findings").replaceChildren(...sentences.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

async function complain(error, where, show) {
  if (error.name === "AbortError") {
    where.textContent = say("Cancelled.");
    return;
  }
  const found = error.findings ?? [];
  wrong = async () => {
    await learn([error.message, ...found.flatMap((one) => [one.message, one.hint])], "errors").catch(() => {}); // English then
    show(say(error.message), found.map((one) => ({ ...one, message: say(one.message), hint: one.hint && say(one.hint) })));
  };
  await wrong();
}

function busy(is) {
  at("ask").disabled = is;
  at("cancel").disabled = !is;
  document.querySelectorAll("[data-export], #frontier").forEach((button) => { button.disabled = is || !answer?.plans.length; });
}

async function further(what, work) {
  running = new AbortController();
  busy(true);
  wrong = null;
  const begin = Date.now();
  const tell = () => { at("busy").textContent = say("{1}, {2} s", say(what), Math.round((Date.now() - begin) / 1000)); };
  const clock = setInterval(tell, 1000);
  tell();
  try {
    at("busy").textContent = await work();
  } catch (error) {
    await complain(error, at("busy"), (sentence, found) => {
      at("busy").textContent = [sentence, found.map((one) => one.message).join("; ")].filter(Boolean).join(": ");
    });
  } finally {
    clearInterval(clock);
    busy(false);
  }
}

function save(content, kind, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function hand(form) {
  const file = await ask("export", { ...question(), form, lang: at("lang").value });
  save(Uint8Array.from(atob(file.base64), (letter) => letter.charCodeAt(0)), file.kind, file.name);
  return say("{1} is saved.", file.name);
}

async function stairs() {
  const field = FIELDS.find((one) => one.dataset.set === at("over").value);
  const base = field.dataset.of === "workload" ? `workloads.${at("workload").value}.` : "";
  const path = /^slo\.(ttft|tpot)_ms$/.test(field.dataset.set) ? `${field.dataset.set}.p95` : field.dataset.set;
  const set = edits().filter((edit) => !edit.startsWith(`${base}${field.dataset.set}=`));
  const over = [`${base}${path}`, `${at("over-from").value}:${at("over-to").value}`];
  const told = await ask("frontier", { ...question(), set, over, simulate: false });
  const { steps } = told.curves[0];
  await learn(steps.map((step) => step.winner?.deployment));
  const shownCost = (step) => (step.monthly_cost_from === null ? say("no plan") : `${step.monthly_cost_from.toLocaleString("en", { minimumFractionDigits: 2 })} ${told.currency}`);
  table(at("steps"), ["From", "To", "a month", "deployment that wins"].map((title) => say(title)), steps.map((step) => [
    step.from, step.to, shownCost(step), say(step.winner?.deployment ?? "no deployment keeps every promise")]));
  draw(steps, path, told.currency);
  return say("{1} steps, not replayed.", steps.length);
}

function shape(kind, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, String(value)));
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw(steps, path, currency) {
  const priced = steps.filter((step) => step.monthly_cost_from !== null);
  at("stairs").hidden = priced.length === 0;
  if (!priced.length) return;
  const [left, right, top, bottom] = [70, 620, 16, 220];
  const ends = steps.flatMap((step) => [step.from, step.to]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const most = Math.max(...priced.flatMap((step) => [step.monthly_cost_from, step.monthly_cost_to]));
  const x = (value) => left + ((value - low) / (high - low || 1)) * (right - left);
  const y = (cost) => bottom - (cost / most) * (bottom - top);
  const parts = priced.map((step) => `M${x(step.from)} ${y(step.monthly_cost_from)} L${x(step.to)} ${y(step.monthly_cost_to)}`);
  const title = shape("title", { id: "drawn-title" }, say("Cost a month over {1}", path));
  at("drawn").replaceChildren(title,
    shape("line", { x1: left, x2: right, y1: bottom, y2: bottom }), shape("line", { x1: left, x2: left, y1: top, y2: bottom }),
    shape("text", { x: left, y: bottom + 18, "text-anchor": "middle" }, low.toLocaleString("en")),
    shape("text", { x: right, y: bottom + 18, "text-anchor": "middle" }, high.toLocaleString("en")),
    shape("text", { x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle" }, path),
    shape("text", { x: left - 6, y: top + 8, "text-anchor": "end" }, most.toLocaleString("en", { maximumFractionDigits: 0 })),
    shape("text", { x: left - 6, y: bottom, "text-anchor": "end" }, `0 ${currency}`),
    shape("path", { d: parts.join(" ") }));
}

function addQuote() {
  const [provider, gpu, size, price, currency] = ["provider", "gpu", "size", "price", "currency"].map((one) => at(`quote-${one}`).value.trim());
  if (!provider || !gpu || !size || !price || !currency) {
    at("status").textContent = say("A quote has a provider, a card, cards in a node, a price and a currency.");
    return;
  }
  const cells = [provider, gpu, size, price, currency, "on_demand"].map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell));
  const before = at("quotes").value.trim() || "provider,gpu,gpus_per_node,price_per_hour,currency,tier";
  at("quotes").value = `${before}\n${cells.join(",")}\n`;
  at("status").textContent = say("The quote of {1} is added. Choose Answer.", provider);
}

async function run() {
  const asked = state();
  running = new AbortController();
  busy(true);
  wrong = null;
  list([]);
  const begin = Date.now();
  const clock = setInterval(() => { at("status").textContent = say("{1}, {2} s", say("Working"), Math.round((Date.now() - begin) / 1000)); }, 1000);
  at("status").textContent = say("Working");
  try {
    if (asked.problem !== read.problem) {
      stated = (await ask("check", { set: [] })).understood;
      read.problem = asked.problem;
      name(stated.workloads.map((one) => one.name));
      slide();
    }
    asked.workload = at("workload").value;
    answer = await ask("solve", question());
    await learn([...PHRASES, ...sentences(answer)]);
    clearInterval(clock);
    history.push(asked);
    at("undo").disabled = false;
    at("keep").disabled = false;
    tell(answer);
    if (at("over-from").value === "") range();
  } catch (error) {
    clearInterval(clock);
    await complain(error, at("status"), (sentence, found) => {
      at("status").textContent = sentence;
      list(found.map((one) => [one.file, one.line, one.column].filter((part) => part).join(":") +
        `${one.file ? ": " : ""}${one.message}${one.hint ? ` (${one.hint})` : ""}`));
    });
  } finally {
    clearInterval(clock);
    busy(false);
  }
}

at("question").addEventListener("submit", (event) => { event.preventDefault(); if (!at("ask").disabled) run(); });
at("cancel").addEventListener("click", () => { running?.abort(); at("ask").disabled = false; at("ask").focus(); });
at("undo").addEventListener("click", () => {
  const last = history[history.length - 1];
  if (JSON.stringify(state()) === JSON.stringify(last)) history.pop();
  const before = history.pop();
  at("undo").disabled = history.length === 0;
  if (before) { show(before); run(); }
});
at("keep").addEventListener("click", () => { kept = answer; compare(); });
at("share").addEventListener("click", () => save(JSON.stringify(state(), null, 2), "application/json", "question.json"));
at("quote-add").addEventListener("click", addQuote);
at("frontier").addEventListener("click", () => further("Drawing", stairs));
document.querySelectorAll("[data-export]").forEach((button) => {
  button.addEventListener("click", () => further("Writing", () => hand(button.dataset.export)));
});
FIELDS.filter(slider).forEach((field) => {
  slider(field).addEventListener("input", () => { field.value = String(Number(Number(slider(field).value).toPrecision(3))); });
  field.addEventListener("input", slide);
});
function numbers() {
  const chosen = at("over").value;
  at("over").replaceChildren(...FIELDS.filter((field) => slider(field) && field.dataset.of === "workload").map(
    (field) => new Option(field.parentElement.firstChild.textContent, field.dataset.set)));
  if (chosen) at("over").value = chosen;
}
at("over").addEventListener("change", range);

function range() {
  const field = FIELDS.find((one) => one.dataset.set === at("over").value);
  const value = field.value === "" ? statedValue(field) : Number(field.value);
  if (value === null) return;
  at("over-from").value = String(Number((value / 2).toPrecision(3)));
  at("over-to").value = String(Number((value * 2).toPrecision(3)));
}
at("open").addEventListener("change", async () => {
  const [file] = at("open").files;
  if (!file) return;
  const text = await file.text();
  try {
    show(file.name.endsWith(".json") ? JSON.parse(text) : { ...state(), problem: text });
    at("status").textContent = say("{1} is open. Choose Answer.", file.name);
  } catch {
    at("status").textContent = say("{1} is no saved question.", file.name);
  }
});
collect();
numbers();
if (navigator.language.startsWith("zh")) at("lang").value = "zh";
at("lang").addEventListener("change", speak);
speak();
