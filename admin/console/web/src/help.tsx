import type { JSX } from "preact";
import { Dialog } from "./parts/dialog";
import { t } from "./text";

/** Help lists the keys. */
export function Help({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title={t().help.title} onClose={onClose} wide>
      <div class="help-columns">
        {t().help.groups.map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl class="keys">
              {group.keys.map(([keys, words]) => (
                <div key={words}><dt>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{words}</dd></div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <p class="muted">{t().help.foot}</p>
    </Dialog>
  );
}
