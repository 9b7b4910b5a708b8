// Sets the theme before the first paint, so that nobody is flashed at. Everything else about themes is in src/shell/theme.ts.
{
  const chosen = localStorage.getItem("backstitch.theme");
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
