"use strict";

const at = (id) => document.getElementById(id);
const FIELDS = [...document.querySelectorAll("[data-set]")];
const history = [];
let answer = null;
let kept = null;
let running = null;
let stated = null;
const read = { problem: null };

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

function cell(text, number) {
  const made = document.createElement("td");
  made.textContent = text ?? "";
  if (number) made.className = "number";
  return made;
}

function table(where, titles, rows) {
  const head = document.createElement("tr");
  head.append(...titles.map((title) => Object.assign(document.createElement("th"), { textContent: title, scope: "col" })));
  const lines = rows.map((row) => {
    const line = document.createElement("tr");
    line.append(...row.map((value) => cell(typeof value === "number" ? value.toLocaleString("en") : value, typeof value === "number")));
    return line;
  });
  where.replaceChildren(head, ...lines);
}

const shown = (value) => (value === null ? "nothing" : typeof value === "object" ? JSON.stringify(value) : String(value));
const money = (plan) => `${plan.monthly_cost.toLocaleString("en", { minimumFractionDigits: 2 })} ${plan.currency}`;
const each = (list, read) => list.map(read).join("; ");
const hardware = (plan) => each(plan.nodes, (node) => `${node.count} x ${node.gpus_per_node} x ${node.gpu}`);
const seller = (plan) => each(plan.nodes, (node) => `${node.provider}, ${node.tier}`);
const setup = (plan) => each(plan.groups, (group) => `${group.replicas} x ${group.weight_quant}, TP${group.tensor_parallel}`);

function tell(told) {
  const best = told.plans[0];
  at("findings").replaceChildren();
  if (best) {
    const proof = best.proven ? "proven the cheapest of what was enumerated" : "the best found in time";
    at("status").textContent = `${money(best)} a month: ${hardware(best)} from ${seller(best)}; ${proof}, grade ${best.grade}.`;
  } else {
    at("status").textContent = `No plan (${told.status}). What would help:`;
    list(told.relaxations.map((way) => {
      const edited = [way, ...(way.also ?? [])].map((one) => `${one.change} from ${shown(one.from)} to ${shown(one.to)}`);
      return `${edited.join(", ")}: then ${way.monthly_cost.toLocaleString("en")} a month`;
    }));
  }
  const rows = told.plans.map((plan) => [plan.rank, money(plan), hardware(plan), seller(plan), setup(plan), plan.grade]);
  const fewer = best ? best.minimality.map(less).filter(Boolean) : [];
  fill("fewer", fewer);
  fill("quoted", (told.quotes ?? []).map((one) => `${one.offer_id}: ${one.reason}`));
  table(at("plans"), told.plans.length ? ["#", "a month", "hardware", "from", "replicas", "grade"] : [], rows);
  compare();
}

function fill(id, sentences) {
  at(`${id}-title`).hidden = sentences.length === 0;
  at(id).replaceChildren(...sentences.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function less(one) {
  const kind = `${one.role === "serve" ? "replica" : `${one.role} worker`}${one.replicas === 1 ? "" : "s"}`;
  if (!one.fewer) return one.reason ? `${one.workload}: ${one.replicas} ${kind}; ${one.reason}.` : "";
  const { replicas, promise, replayed, margin, limit } = one.fewer;
  const [name, factor, unit] = promise === "saturation" ? ["what they can carry", 100, "%"]
    : promise.endsWith("within_hours") ? ["the batch", 1 / 3600, "hours"] : [promise, 1000, "ms"];
  const shownAs = (value) => `${Number((value * factor).toPrecision(3)).toLocaleString("en")} ${unit}`;
  return `${one.workload}: with ${replicas} instead of ${one.replicas} ${kind} ${name} breaks: ${shownAs(replayed * margin)} with its margin, at most ${shownAs(limit)}.`;
}

function compare() {
  at("compared").hidden = !(kept && answer);
  if (!kept || !answer) return at("comparison").replaceChildren();
  const one = (title, read) => [title, read(kept), read(answer)];
  const of = (read) => (told) => (told.plans[0] ? read(told.plans[0]) : told.status);
  table(at("comparison"), ["", "kept", "now"], [
    one("a month", of(money)), one("GPUs", of((plan) => String(plan.gpus))), one("hardware", of(hardware)),
    one("from", of(seller)), one("replicas", of(setup)), one("grade", of((plan) => plan.grade)),
  ]);
}

function list(sentences) {
  at("findings").replaceChildren(...sentences.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function busy(is) {
  at("ask").disabled = is;
  at("cancel").disabled = !is;
  document.querySelectorAll("[data-export], #frontier").forEach((button) => { button.disabled = is || !answer?.plans.length; });
}

async function further(what, work) {
  running = new AbortController();
  busy(true);
  const begin = Date.now();
  const tell = () => { at("busy").textContent = `${what}, ${Math.round((Date.now() - begin) / 1000)} s`; };
  const clock = setInterval(tell, 1000);
  tell();
  try {
    at("busy").textContent = await work();
  } catch (error) {
    const findings = (error.findings ?? []).map((one) => one.message).join("; ");
    at("busy").textContent = error.name === "AbortError" ? "Cancelled." : `${error.message}${findings ? `: ${findings}` : ""}`;
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
  return `${file.name} is saved.`;
}

async function stairs() {
  const field = FIELDS.find((one) => one.dataset.set === at("over").value);
  const base = field.dataset.of === "workload" ? `workloads.${at("workload").value}.` : "";
  const path = /^slo\.(ttft|tpot)_ms$/.test(field.dataset.set) ? `${field.dataset.set}.p95` : field.dataset.set;
  const set = edits().filter((edit) => !edit.startsWith(`${base}${field.dataset.set}=`));
  const over = [`${base}${path}`, `${at("over-from").value}:${at("over-to").value}`];
  const told = await ask("frontier", { ...question(), set, over, simulate: false });
  const { steps } = told.curves[0];
  const shownCost = (step) => (step.monthly_cost_from === null ? "no plan" : `${step.monthly_cost_from.toLocaleString("en")} ${told.currency}`);
  table(at("steps"), ["from", "to", "a month", "deployment that wins"], steps.map((step) => [
    step.from, step.to, shownCost(step), step.winner?.deployment ?? "no deployment keeps every promise"]));
  draw(steps, path, told.currency);
  return `${steps.length} steps, not replayed.`;
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
  const title = shape("title", { id: "drawn-title" }, `Cost a month over ${path}`);
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
    at("status").textContent = "A quote has a provider, a card, cards in a node, a price and a currency.";
    return;
  }
  const cells = [provider, gpu, size, price, currency, "on_demand"].map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell));
  const before = at("quotes").value.trim() || "provider,gpu,gpus_per_node,price_per_hour,currency,tier";
  at("quotes").value = `${before}\n${cells.join(",")}\n`;
  at("status").textContent = `The quote of ${provider} is added. Choose Answer.`;
}

async function run() {
  const asked = state();
  running = new AbortController();
  busy(true);
  list([]);
  const begin = Date.now();
  const clock = setInterval(() => { at("status").textContent = `Working, ${Math.round((Date.now() - begin) / 1000)} s`; }, 1000);
  at("status").textContent = "Working";
  try {
    if (asked.problem !== read.problem) {
      stated = (await ask("check", { set: [] })).understood;
      read.problem = asked.problem;
      name(stated.workloads.map((one) => one.name));
      slide();
    }
    asked.workload = at("workload").value;
    answer = await ask("solve", question());
    clearInterval(clock);
    history.push(asked);
    at("undo").disabled = false;
    at("keep").disabled = false;
    tell(answer);
    if (at("over-from").value === "") range();
  } catch (error) {
    clearInterval(clock);
    at("status").textContent = error.name === "AbortError" ? "Cancelled." : error.message;
    list((error.findings ?? []).map((one) => [one.file, one.line, one.column].filter((part) => part).join(":") +
      `${one.file ? ": " : ""}${one.message}${one.hint ? ` (${one.hint})` : ""}`));
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
at("over").replaceChildren(...FIELDS.filter((field) => slider(field) && field.dataset.of === "workload").map(
  (field) => new Option(field.parentElement.firstChild.textContent, field.dataset.set)));
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
    at("status").textContent = `${file.name} is open. Choose Answer.`;
  } catch {
    at("status").textContent = `${file.name} is no saved question.`;
  }
});
