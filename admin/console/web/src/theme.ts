// Runs before the first paint, so that a stored choice of theme and language does not flash.
const root = document.documentElement;
try {
  const theme = localStorage.getItem("relay.theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = localStorage.getItem("relay.language");
  if (language === "zh") root.lang = "zh-Hans";
} catch {
  // Storage may be forbidden; the system's choice holds then.
}
