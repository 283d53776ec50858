// The contact sheet: cards made as they are needed, decisions kept in memory, saved as a download.
"use strict";

(function () {
  const STEP = 60; // cards made at a time
  const MIN_REASON = 3;
  const KEYS = ["dataset", "subject", "session", "acquisition", "run", "contrast"];
  const FIELDS = { dataset: (s) => s.key[0], session: (s) => s.key[2], contrast: (s) => s.key[5] };
  const scans = JSON.parse(document.getElementById("scans").textContent);
  const decisions = new Map(); // scan -> { verdict, part, reason, by, date }
  for (const scan of scans.filter((one) => one.earlier.length > 0)) {
    decisions.set(scan, { verdict: "fail", ...scan.earlier[0] }); // kept unless changed here
  }
  const sheet = document.getElementById("cards");
  const more = document.getElementById("more");
  const search = document.getElementById("search");
  const selects = Array.from(document.querySelectorAll("#filters select"));
  let wanted = scans;
  let saved = true;

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function picture(scan) {
    if (scan.picture.length === 0) {
      return make("p", { className: "note", textContent: "No picture." });
    }
    const [src, width, height, alt] = scan.picture;
    const image = make("img", { loading: "lazy", width, height, alt, src });
    return make("a", { href: scan.link, tabIndex: -1, className: "shot" }, image);
  }

  function described(scan) {
    const head = make("h2", {}, make("a", { href: scan.link, textContent: scan.name }));
    const words = [scan.site, scan.vendor, scan.state].filter(Boolean).join(", ");
    const text = make("p", { className: "note", textContent: words });
    if (scan.distance) {
      const far = `; most unusual: ${scan.what}, ${scan.distance} robust SD`;
      text.append(scan.unusual ? make("strong", { textContent: far }) : far);
    }
    const reason = make("p", { className: "reason", textContent: scan.reason });
    return scan.reason ? [head, text, reason] : [head, text];
  }

  // What is decided about a card stands in `decisions`; the card only shows it.
  function card(scan) {
    const article = make("article", { className: "review", tabIndex: 0 });
    article.setAttribute("aria-label", scan.name);
    const part = make("select", {}, make("option", { value: "", textContent: "whole scan" }));
    const earlier = scan.earlier.map((one) => one.part).filter(Boolean);
    for (const method of new Set([...scan.methods, ...earlier])) {
      part.append(make("option", { value: method, textContent: `mask of ${method}` }));
    }
    part.setAttribute("aria-label", "What fails");
    const reason = make("input", { placeholder: "why it fails", maxLength: 200 });
    reason.setAttribute("aria-label", "Reason");
    const verdicts = ["pass", "fail"].map((verdict) =>
      make("button", { type: "button", textContent: verdict }));
    function show() {
      const decision = decisions.get(scan) || {};
      article.dataset.verdict = decision.verdict || "";
      verdicts.forEach((button) =>
        button.setAttribute("aria-pressed", String(button.textContent === decision.verdict)));
      part.hidden = reason.hidden = decision.verdict !== "fail";
      part.value = decision.part || "";
      reason.value = decision.reason || "";
      reason.setAttribute("aria-invalid", String(!complete(decision)));
      count();
    }
    function decide(change) {
      const old = decisions.get(scan) || { part: "", reason: "" };
      decisions.set(scan, { ...old, ...change, by: undefined, date: undefined }); // ours now
      saved = false;
      show();
    }
    verdicts.forEach((button) =>
      button.addEventListener("click", () => decide({ verdict: button.textContent })));
    part.addEventListener("change", () => decide({ part: part.value }));
    reason.addEventListener("input", () => decide({ reason: reason.value }));
    article.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        article.focus();
      } else if (event.target === article && !event.ctrlKey && !event.metaKey && !event.altKey) {
        if (event.key === "p") {
          decide({ verdict: "pass" });
        } else if (event.key === "f") {
          event.preventDefault(); // the letter must not land in the reason
          decide({ verdict: "fail" });
          reason.focus();
        } else if (event.key === "u") {
          decisions.delete(scan);
          show();
        }
      }
    });
    const controls = make("div", { className: "verdict" }, ...verdicts, part, reason);
    article.append(...described(scan), picture(scan), controls);
    show();
    return article;
  }

  function complete(decision) {
    return decision.verdict !== "fail" || decision.reason.trim().length >= MIN_REASON;
  }

  function count() {
    const all = Array.from(decisions.values());
    const failed = all.filter((d) => d.verdict === "fail").length;
    const open = all.filter((d) => !complete(d)).length;
    const text = `${failed} failed, ${all.length - failed} passed`;
    document.getElementById("decided").textContent = text + (open ? `, ${open} without a reason` : "");
  }

  function grow() {
    const start = sheet.childElementCount;
    sheet.append(...wanted.slice(start, start + STEP).map(card));
    more.hidden = sheet.childElementCount >= wanted.length;
  }

  function filter() {
    const word = search.value.trim().toLowerCase();
    const chosen = selects.filter((select) => select.value !== "");
    const value = (scan, field) => (FIELDS[field] ? FIELDS[field](scan) : scan[field]);
    wanted = scans.filter((scan) =>
      chosen.every((select) => value(scan, select.dataset.field) === select.value) &&
      (word === "" || scan.key[1].toLowerCase().includes(word)));
    sheet.replaceChildren();
    grow();
    document.getElementById("shown").textContent = `${wanted.length} of ${scans.length} scans`;
  }

  // Text in JSON's quotes is text in YAML too, whatever a label or a reason holds.
  function entry(scan, decision, common) {
    const pairs = KEYS.map((key, i) => [key, scan.key[i]]);
    pairs.push(["method", decision.part], ["reason", decision.reason.trim()], ...common);
    const lines = pairs.filter(([, value]) => value !== "")
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
    return `- ${lines.join("\n  ")}\n`;
  }

  const told = (one) => [["by", one.by], ["date", one.date]];

  function listText() {
    const date = new Date();
    const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
    const common = [["by", document.getElementById("by").value.trim()],
      ["date", day.map((n) => String(n).padStart(2, "0")).join("-")]];
    let text = "# Decisions of a review; name this file in `exclude` of config.yaml.\n";
    for (const [scan, decision] of decisions) {
      if (decision.verdict === "fail") {
        const others = scan.earlier.slice(1).filter((one) => one.part !== decision.part);
        for (const one of [decision, ...others]) {
          text += entry(scan, one, one.date === undefined ? common : told(one));
        }
      } else if (decision.verdict === "pass") {
        text += `# passed: ${JSON.stringify(scan.key.join(" "))}\n`;
      }
    }
    return text;
  }

  // A failed scan without a reason would be lost in the list: go to the first instead of saving.
  function refuse(open) {
    if (!wanted.includes(open[0])) {
      selects.forEach((select) => { select.value = ""; });
      search.value = "";
      filter();
    }
    const place = wanted.indexOf(open[0]);
    while (sheet.childElementCount <= place) {
      grow();
    }
    sheet.children[place].scrollIntoView({ block: "center" });
    sheet.children[place].querySelector(".verdict input").focus({ preventScroll: true });
    document.getElementById("decided").textContent =
      `Not saved: ${open.length} failed without a reason; write why for ${open[0].name}`;
  }

  document.getElementById("save").addEventListener("click", () => {
    const open = scans.filter((scan) => decisions.has(scan) && !complete(decisions.get(scan)));
    if (open.length > 0) {
      refuse(open);
      return;
    }
    const url = URL.createObjectURL(new Blob([listText()], { type: "application/yaml" }));
    const link = make("a", { href: url, download: document.getElementById("review").dataset.file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    saved = true;
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !"jk".includes(event.key)) {
      return;
    }
    const cards = Array.from(sheet.children);
    const here = cards.indexOf(document.activeElement.closest("article"));
    const next = here < 0 ? 0 : here + (event.key === "j" ? 1 : -1);
    if (next >= cards.length && !more.hidden) {
      grow();
    }
    if (sheet.children[next]) {
      sheet.children[next].focus();
    }
  });
  window.addEventListener("beforeunload", (event) => {
    if (!saved) {
      event.preventDefault();
    }
  });
  more.addEventListener("click", grow);
  new IntersectionObserver((entries) => {
    if (entries.some((one) => one.isIntersecting)) {
      grow();
    }
  }, { rootMargin: "600px" }).observe(more);
  selects.forEach((select) => select.addEventListener("change", filter));
  search.addEventListener("input", filter);
  filter();
})();
