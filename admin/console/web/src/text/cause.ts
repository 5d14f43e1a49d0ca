// A cause class in words: known ones by their names in the language, answers by their code.
export function nameCause(cause: string, names: Record<string, string>, answered: (code: string) => string): string {
  const known = names[cause];
  if (known) return known;
  const code = /^(?:http |amqp )?(\d{3})$/.exec(cause);
  return code ? answered(code[1]!) : cause;
}
