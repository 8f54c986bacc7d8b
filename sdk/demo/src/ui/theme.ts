/** Light, dark, or as the system has it. All colours are made with `light-dark()`, so one property decides. */

import { useState } from 'react';

export type Theme = 'system' | 'light' | 'dark';
export const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

const KEY = 'fastcollab-demo-theme';
const SCHEMES: Record<Theme, string> = { system: 'light dark', light: 'light', dark: 'dark' };

export function storedTheme(): Theme {
  const stored = localStorage.getItem(KEY) as Theme | null;
  return stored && THEMES.includes(stored) ? stored : 'system';
}

export function applyTheme(theme: Theme): void {
  document.documentElement.style.colorScheme = SCHEMES[theme];
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(storedTheme);
  const change = (next: Theme): void => {
    localStorage.setItem(KEY, next);
    applyTheme(next);
    setTheme(next);
  };
  return [theme, change];
}
