/** Commands with several views that share no shape: each gives its data and its own text. */

/** What a view found, and how it is printed. */
export interface View {
  /** Printed by `--json`. */
  readonly data: unknown;
  readonly text: string;
}

/** The `text` and `json` of a command whose data are a view. */
export const VIEW_OUTPUT = {
  text: ({ text }: View): string => text,
  json: ({ data }: View): unknown => data,
};
