/** Reading a part of something that changes, so that only who shows that part is rendered again. */

import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';

/** Whether two selected values are as good as the same. */
export type IsEqual<Value> = (a: Value, b: Value) => boolean;

export type Subscribe = (changed: () => void) => () => void;

/**
 * What `select` makes of `snapshot()`. The component is rendered again when that is another value by `isEqual`; `subscribe`
 * and `snapshot` should be the same functions from one rendering to the next.
 */
export function useSelected<Source, Selected>(
  subscribe: Subscribe,
  snapshot: () => Source,
  select: (source: Source) => Selected,
  isEqual: IsEqual<Selected> = Object.is,
): Selected {
  const shown = useRef<{ value: Selected } | undefined>(undefined);
  const selection = useMemo(() => {
    let last: { source: Source; value: Selected } | undefined;
    return (): Selected => {
      const source = snapshot();
      if (last && Object.is(last.source, source)) return last.value;
      const made = select(source);
      const known = last ?? shown.current;
      last = { source, value: known && isEqual(known.value, made) ? known.value : made };
      return last.value;
    };
  }, [snapshot, select, isEqual]);
  const value = useSyncExternalStore(subscribe, selection, selection);
  useEffect(() => {
    shown.current = { value };
  }, [value]);
  return value;
}

/** Whether two objects, or lists, have the same members: for selectors that make a new one each time. */
export function shallowEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(key => Object.hasOwn(b, key) && Object.is(a[key as keyof typeof a], b[key as keyof typeof b]));
}

export function identity<Value>(value: Value): Value {
  return value;
}
