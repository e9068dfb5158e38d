import { Monitor, Moon, Sun } from "lucide-react";
import { useEffect, useState } from "react";
import { useMediaQuery } from "../ui/media.ts";
import { Button } from "../ui/parts.tsx";

const THEMES = [
  ["system", "System theme", Monitor],
  ["light", "Light theme", Sun],
  ["dark", "Dark theme", Moon],
] as const;

/** Goes through system, light and dark; the choice is kept in this browser. */
export function ThemeButton() {
  const [theme, setTheme] = useState(() => localStorage.getItem("spendgate-theme") ?? "system");
  const isSystemDark = useMediaQuery("(prefers-color-scheme: dark)");
  useEffect(() => {
    localStorage.setItem("spendgate-theme", theme);
    const isDark = theme === "dark" || (theme === "system" && isSystemDark);
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
  }, [theme, isSystemDark]);

  const at = Math.max(
    0,
    THEMES.findIndex(([name]) => name === theme),
  );
  const [, label, Icon] = THEMES[at] as (typeof THEMES)[number];
  const [next] = THEMES[(at + 1) % THEMES.length] as (typeof THEMES)[number];
  return (
    <Button
      kind="quiet"
      className="px-2"
      aria-label={`${label}. Switch to ${next}.`}
      title={label}
      onClick={() => setTheme(next)}
    >
      <Icon aria-hidden className="size-4" />
    </Button>
  );
}
