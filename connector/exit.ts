/** Exit codes, as the documentation gives them. */
export const EXIT = { ok: 0, failed: 1, usage: 2, refused: 3, superseded: 4 } as const;
