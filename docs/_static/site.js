// On a phone the table of contents covers the page: a click on a link closes it.
document.addEventListener("click", (event) => {
  if (event.target.closest("a[href]")) event.target.closest("dialog[open]")?.close();
});
