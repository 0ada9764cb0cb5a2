"use strict";
// Everything can be read, selected and printed without this.
const said = document.getElementById("said");

async function copy(button) {
  const lines = button.closest(".paste").querySelector("pre");
  let done = false;
  try {
    await navigator.clipboard.writeText(lines.textContent);
    done = true;
  } catch {
    getSelection().selectAllChildren(lines);
    done = document.execCommand("copy"); // where the clipboard is only for pages that came encrypted
  }
  button.textContent = done ? "copied" : "selected: press Ctrl+C";
  said.textContent = button.textContent;
  setTimeout(() => { button.textContent = "copy"; }, 3000);
}

function show() {
  for (const button of document.querySelectorAll("button.copy")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const one of closed) one.open = true;
});
addEventListener("afterprint", () => { for (const one of closed) one.open = false; });

async function refresh() {
  if (document.hidden || !getSelection().isCollapsed) return; // nobody looks, or somebody copies
  const page = document.getElementById("page");
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = [...page.querySelectorAll("details")].map((one) => one.open);
    const fresh = next.getElementById("page");
    const details = [...fresh.querySelectorAll("details")];
    if (details.length === open.length) details.forEach((one, n) => { one.open = open[n]; });
    page.replaceWith(document.adoptNode(fresh));
    document.title = next.title;
    document.body.classList.remove("stale");
    show();
  } catch (error) {
    document.title = "no answer";
    said.textContent = "no answer from the page's server: what is shown is old";
    document.body.classList.add("stale");
  }
}

show();
const seconds = Number(document.body.dataset.refresh);
if (seconds) setInterval(refresh, seconds * 1000);
