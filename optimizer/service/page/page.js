"use strict";

const at = (id) => document.getElementById(id);
const FIELDS = [...document.querySelectorAll("[data-set]")];
const history = [];
let answer = null;
let kept = null;
let running = null;

const state = () => ({
  problem: at("problem").value,
  quotes: at("quotes").value,
  simulate: at("simulate").checked,
  workload: at("workload").value,
  fields: Object.fromEntries(FIELDS.map((field) => [field.dataset.set, field.value])),
});

function show(saved) {
  at("problem").value = String(saved.problem ?? "");
  at("quotes").value = String(saved.quotes ?? "");
  at("simulate").checked = saved.simulate !== false;
  FIELDS.forEach((field) => { field.value = String(saved.fields?.[field.dataset.set] ?? ""); });
  name([String(saved.workload ?? "")].filter(Boolean));
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
  table(at("plans"), told.plans.length ? ["#", "a month", "hardware", "from", "replicas", "grade"] : [], rows);
  compare();
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
    const read = await ask("check", { set: [] });
    name(read.understood.workloads.map((one) => one.name));
    asked.workload = at("workload").value;
    answer = await ask("solve", { set: edits(), simulate: at("simulate").checked });
    clearInterval(clock);
    history.push(asked);
    at("undo").disabled = false;
    at("keep").disabled = false;
    tell(answer);
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
at("share").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(state(), null, 2)], { type: "application/json" }));
  link.download = "question.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
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
