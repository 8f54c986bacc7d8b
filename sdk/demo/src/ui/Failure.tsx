/** What is shown where the page cannot be. */

import { Component, type ReactNode } from 'react';

export function Loading(): ReactNode {
  return (
    <div className="notice" role="status">
      <span className="spinner" aria-hidden />
      Opening the dashboard…
    </div>
  );
}

export function Failure({ error }: { error: Error }): ReactNode {
  return (
    <div className="notice" role="alert">
      <h1>The dashboard cannot be opened</h1>
      <p>{error.message}</p>
      <p className="muted">
        Is <code>fastcollab demo</code> still running?
      </p>
      <button type="button" className="button" onClick={() => location.reload()}>
        Try again
      </button>
    </div>
  );
}

/** Shows what `fallback` makes of an error that a component below has thrown. */
export class Boundary extends Component<
  { readonly fallback: (error: Error) => ReactNode; readonly children: ReactNode },
  { readonly error: Error | undefined }
> {
  override state: { error: Error | undefined } = { error: undefined };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    return this.state.error ? this.props.fallback(this.state.error) : this.props.children;
  }
}
