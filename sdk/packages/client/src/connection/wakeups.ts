/** The moments at which a browser's page should look after its connection: the network is back, or the page is seen. */

/** Calls `wake` then; the function that is returned ends that. Without a browser nothing ever happens. */
export function onWakeup(wake: () => void): () => void {
  const onVisible = (): void => {
    if (document.visibilityState === 'visible') wake();
  };
  const hasWindow = typeof window !== 'undefined' && typeof document !== 'undefined';
  if (!hasWindow) return () => {};
  window.addEventListener('online', wake);
  document.addEventListener('visibilitychange', onVisible);
  return () => {
    window.removeEventListener('online', wake);
    document.removeEventListener('visibilitychange', onVisible);
  };
}
