// What to do about each cause, in a paragraph.
interface Guide {
  en: string;
  zh: string;
}

const guides: Record<string, Guide> = {
  dns: { en: "The host name of the target does not resolve where the relay runs. Compare the target's spelling, then ask the resolver of that machine. Correct the target in the subscription's settings; what has failed goes again by itself, what is dead goes by Retry.", zh: "中继所在机器无法解析目标主机名。先核对目标拼写，再检查那台机器的域名解析。在订阅设置中改正目标；失败的会自动重试，已放弃的请手动重试。" },
  refused: { en: "Nothing listens at the target's address and port. Start the receiver, or correct the port. While it is down the circuit stays open and costs no attempts beyond a probe.", zh: "目标地址和端口没有程序在监听。请启动接收方，或改正端口。接收方停机期间断路器保持打开，只做探测，不消耗重试次数。" },
  unreachable: { en: "No connection comes about: a route, a firewall or a network policy is in the way. Try curl to the target from the machine of the relay.", zh: "无法建立连接：可能是路由、防火墙或网络策略的问题。请在中继所在机器上用 curl 访问目标。" },
  timeout: { en: "The receiver gave no answer in time. Look at its load and its slowest dependency. If it needs longer by nature, raise the timeout in the settings, or let it answer 202 and acknowledge later.", zh: "接收方没有按时答复。请检查它的负载和最慢的依赖。如果处理本来就慢，可在设置中加大超时，或让它先答 202、之后再确认。" },
  reset: { en: "The connection was closed before the answer: a crash of the receiver, or a proxy with a shorter idle time. The receiver may have handled the message already; it must drop duplicates by webhook-id.", zh: "连接在答复之前被关闭：接收方可能崩溃，或代理的空闲时间更短。消息也许已被处理，接收方应按 webhook-id 去重。" },
  tls: { en: "The TLS handshake failed: an expired certificate, another host name in it, or an authority that the relay's machine does not know. openssl s_client against the target shows which.", zh: "TLS 握手失败：证书过期、主机名不符，或签发机构不受信任。用 openssl s_client 可以看出是哪一种。" },
  protocol: { en: "The answer is not HTTP. The port belongs to another service, or it wants https instead of http.", zh: "答复不是 HTTP。端口可能属于别的服务，或应使用 https。" },
  egress: { en: "The target's address is none that a row may choose: only public ones are, and those that RELAY_EGRESS_ALLOW names. If it is meant to be reached, name it there.", zh: "行只能指定公网地址和 RELAY_EGRESS_ALLOW 列出的地址。若确实需要访问，请把它加入其中。" },
  "no address": { en: "The subscription is a broadcast, and none of its instances is alive. Start an instance; it registers by itself.", zh: "这是广播订阅，但没有存活的实例。请启动实例，它会自行登记。" },
  settings: { en: "The subscription's settings cannot be used; the error names which. Open its settings and correct them.", zh: "订阅设置无法使用，错误信息写明了哪一项。请打开设置并改正。" },
  relay: { en: "The relay itself failed on this message. Its log has the details under the message's id; please report it.", zh: "中继处理这条消息时自身出错。日志中按消息 id 有详情，请反馈。" },
  unroutable: { en: "The exchange exists, and no queue is bound for this routing key. Bind a queue at the broker, then retry.", zh: "交换机存在，但没有队列绑定此路由键。请在消息中间件上绑定队列，然后重试。" },
  nack: { en: "The broker refused the message, mostly because a queue is full and rejects. Look at the queue's length limit.", zh: "消息中间件拒绝了消息，多半是队列已满。请检查队列长度限制。" },
  "no confirm": { en: "The broker did not confirm in time, or the connection broke before. The message may have arrived; consumers drop duplicates by message_id.", zh: "消息中间件没有按时确认，或连接中断。消息可能已到达，消费者应按 message_id 去重。" },
  "broker down": { en: "There is no connection to RabbitMQ. Check RELAY_AMQP_URL, and that the broker runs. Messages wait meanwhile.", zh: "没有到 RabbitMQ 的连接。请检查 RELAY_AMQP_URL 和消息中间件是否运行。消息会等待。" },
  "broker blocked": { en: "The broker blocks publishers: its memory or disk alarm is on. Free space there; delivery goes on by itself.", zh: "消息中间件因内存或磁盘告警而阻塞发布。请腾出空间，之后自动继续。" },
  "gave up": { en: "The message was due for longer than RELAY_GIVE_UP_AFTER. Mend what kept it, then retry.", zh: "消息逾期超过 RELAY_GIVE_UP_AFTER。请先解决原因，再重试。" },
  redirect: { en: "The receiver answered with a redirect, which is not followed: a signed message goes only where it was meant to. Put the final address into the settings.", zh: "接收方答复了重定向，中继不会跟随。请把最终地址写进设置。" },
  "no ack": { en: "The consumer took the message and has not acknowledged it in time. Look at the consumer's own log for its id; raise the acknowledgement time if it needs longer.", zh: "消费者收下了消息但没有按时确认。请按 id 查看消费者日志；如处理较慢，加大确认时间。" },
  "consumer said no": { en: "The consumer acknowledged a failure; the error is in its own words. Mend its logic or its data, then retry.", zh: "消费者报告处理失败，错误是它自己写的。请修正其逻辑或数据，再重试。" },
  "http 401": { en: "The receiver refuses the signature or the credentials. Compare the secrets at both ends, and the clocks: signatures hold for five minutes. Add the new secret in front, then remove the old one.", zh: "接收方拒绝签名或凭证。请核对两端的密钥和时钟（签名五分钟内有效）。先在前面加入新密钥，再删除旧密钥。" },
  "http 404": { en: "The receiver does not know this path. Compare the target with the receiver's routes.", zh: "接收方没有这个路径。请核对目标与接收方的路由。" },
  "http 429": { en: "The receiver asks for a slower pace. Set a rate or a lower concurrency in the settings; Retry-After is kept.", zh: "接收方要求放慢。请在设置中限速或降低并发；Retry-After 会被遵守。" },
  "http 5": { en: "The receiver's own logic failed on the message. Its log says why; look for the webhook-id. Mend it, retry one first, then the rest.", zh: "接收方自身逻辑出错。请按 webhook-id 查看它的日志。修好后先重试一条，再重试其余。" },
  "http 4": { en: "The receiver refuses this message as it is. Look at its answer and at the payload. Mend the receiver, or send a corrected copy.", zh: "接收方不接受这条消息。请查看它的答复和载荷。修正接收方，或发送改正后的副本。" },
  "rejected: route": { en: "No subscription matches the topic, and there is no default destination. Make a subscription; messages of the last 24 hours are then taken up, older ones by Retry.", zh: "没有订阅匹配该主题，也没有默认目标。请新建订阅；24 小时内的消息会被自动接收，更早的请重试。" },
  "rejected: header": { en: "A header of the row cannot be sent over HTTP. The sender must mend it; a copy can be sent meanwhile.", zh: "该行的某个头无法发送。请发送方修正。" },
  "rejected: size": { en: "The payload is larger than RELAY_MAX_PAYLOAD. Raise it, or store the content elsewhere and send its address.", zh: "载荷超过 RELAY_MAX_PAYLOAD。请加大限制，或把内容存到别处、只发送地址。" },
  "rejected: destination": { en: "The row's own destination cannot be used, or rows may not choose one (RELAY_ROW_DESTINATIONS). Copy the message to another destination.", zh: "该行的目标无法使用，或不允许由行指定目标（RELAY_ROW_DESTINATIONS）。可把消息复制到别的目标。" },
};

const general: Record<string, Guide> = {
  push: { en: "The message did not reach the receiver. The error says where it stopped. Mend that, then retry one first.", zh: "消息没有到达接收方，错误信息写明停在哪里。修好后先重试一条。" },
  handle: { en: "The message reached the receiver, and its logic failed. Its own log says why; look for the message's id.", zh: "消息已到达接收方，但其逻辑出错。请按消息 id 查看它的日志。" },
  send: { en: "The message cannot be sent as it is. The error says why. After mending, retry.", zh: "消息无法发送，错误信息写明原因。修正后请重试。" },
  unknown: { en: "The error says what happened. Mend it, then retry one first.", zh: "错误信息写明发生了什么。修好后先重试一条。" },
};

function find(cause: string, kind: string): Guide {
  if (cause === "http 403") return guides["http 401"]!;
  return guides[cause] ?? guides[cause.slice(0, 6)] ?? general[kind] ?? general.unknown!;
}

export const causeGuides = {
  en: (cause: string, kind: string): string => find(cause, kind).en,
  zh: (cause: string, kind: string): string => find(cause, kind).zh,
};
