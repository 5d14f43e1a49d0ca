// 中文。
import type { Schemas } from "../api";
import { bytes, duration, list, number } from "../format";
import type { Hold } from "../live";
import type { Text } from "./en";
import { nameCause } from "./cause";
import { causeGuides } from "./guides";

type Need = Schemas["Need"];
const amount = (need: Need): string => (need.count ? `${number(need.count.n)} 条` : "有消息");
const verbs = { retry: "已重试", cancel: "已取消", acknowledge: "已确认", skip: "已跳过" };

// How a part of the relay is, by the state that the relay names.
type Values = Record<string, string>;
const valueOf = (values: Values, name: string): string => number(Number(values[name] ?? 0));
const states: Record<Schemas["Condition"]["state"], (values: Values) => string> = {
  valid: () => "有效", answers: () => "有答复", starting: () => "中继正在启动", not_connected: () => "尚未连接", no_answer: () => "没有按时答复",
  known: (v) => `数据库 oid ${v.database ?? ""}${v.server ? `，服务器 ${v.server}` : ""}`, copy: () => "这是另一个数据库的副本，中继在此不发送也不修改",
  owns: (v) => `负责 ${valueOf(v, "n")}/${valueOf(v, "of")} 个分片，共 ${valueOf(v, "relays")} 个中继`, waits: (v) => `其他中继持有全部分片，共 ${valueOf(v, "relays")} 个中继`, no_lease: () => "目前没有分片的租约：尚未向数据库申请，或无法续租",
  writes: (v) => `在途 ${valueOf(v, "messages")} 条，${bytes(Number(v.bytes ?? 0))}`, closed: () => "全部闭合", open: (v) => `${valueOf(v, "n")} 个目标不可用：${v.names ?? ""}`,
  free: () => "没有目标超出其内存份额", held: (v) => `${valueOf(v, "n")} 项暂留在表中，等待内存`,
  streams: (v) => `正在接收提交${v.lag ? `，未确认 ${bytes(Number(v.lag))}，服务器保留 ${bytes(Math.max(Number(v.restart_lag ?? 0), 0))}` : ""}`,
  no_stream: () => "没有复制流，改为轮询", connected: () => "已连接", no_broker: () => "RabbitMQ 不接收消息：没有连接，或被它阻塞", failed: () => "出错",
};

const auditResults: Record<string, string> = {
  "signed in": "已登录", "signed out": "已退出", "a link was made": "已生成链接", "refused: too many attempts": "被拒绝：尝试过多", "refused: wrong token": "被拒绝：令牌错误",
};

/** auditResult is what came of an action; texts of people and identifiers stay as they are. */
function auditResult(result: string): string {
  if (auditResults[result]) return auditResults[result];
  const cancelled = /^(\d+) cancelled$/.exec(result);
  if (cancelled) return `已取消 ${number(Number(cancelled[1]))} 条`;
  const refused = /^([\w-]+): the role (\w+) may not$/.exec(result);
  if (refused) return `${refused[1]!}：角色 ${refused[2]!} 无此权限`;
  const copy = /^was a copy of (.*)$/.exec(result);
  if (copy) return `原为副本，来自 ${copy[1]!}`;
  const [effect = "", ...detail] = result.split(": ");
  const known = (zh.effects as Record<string, string>)[effect.replaceAll(" ", "_")] ?? (zh.bulk.kinds as Record<string, string>)[effect];
  return known ? [known, ...detail].join("：") : result;
}

export const zh: Text = {
  common: {
    close: "关闭", back: "返回", save: "保存", more: "更多", details: "详情", loading: "正在加载…", optional: "可选", reason: "原因", original: "中继的原话（英文）",
    reasonHelp: "会记入审计。", copyAs: "复制为", command: "命令", id: "编号", ids: "编号", copyByHand: "请手动复制",
    copy: (what) => `复制${what}`, copied: (what) => `已复制：${what}`,
  },
  frame: {
    skip: "跳到内容", pages: "页面", more: "更多", database: "数据库", operator: "操作员", viewer: "只读", noPage: "没有这个页面。",
    places: { overview: "总览", messages: "消息", failures: "失败", subscriptions: "订阅", senders: "发送方", keys: "受阻的键", jobs: "任务", audit: "审计" },
    badges: { failures: (n) => `${n} 条需人工处理`, keys: (n) => `${n} 个键在等待`, jobs: (n) => `${n} 个正在运行` },
  },
  settings: { title: "设置", refresh: "立即刷新", dense: "紧凑行距", exact: "精确时间", keys: "单字母快捷键", help: "快捷键", signOut: "退出", light: "浅色主题", dark: "深色主题" },
  live: {
    live: "实时", help: "按 r 暂停或继续", label: (state) => `刷新：${state}`, asOf: (time) => `截至 ${time}`,
    held: (held: Hold) => {
      switch (held.kind) {
        case "selected":
          return `已暂停：选中 ${number(held.n)} 条`;
        case "dialog":
          return "已暂停：正在编辑";
        case "scrolled":
          return "已暂停：页面已滚动";
        case "paged":
          return "已暂停：不在第一页";
      }
      return "已暂停";
    },
    failed: (what, since, asOf) => `自 ${since} 起：${what.replace(/。$/, "")}。${asOf ? `所示为 ${asOf} 的数据。` : ""}页面会继续尝试。`,
  },
  search: {
    label: "搜索消息", placeholder: "搜索：编号、键、topic:order.*、to:stock…", suggestions: "建议",
    kinds: { message: "消息", key: "键", text: "文本", subscriptions: "订阅方", topics: "主题", sources: "来源", shape: "条件" },
  },
  table: { fresh: (n) => `${number(n)} 条新消息 · 显示`, select: (what) => `选择消息 ${what}`, selectPage: "选择本页", gone: "已不在此列表中", pages: "列表分页", first: "首页", previous: "上一页", next: "下一页", columns: "列" },
  filter: {
    bar: "筛选", add: "条件", clear: "清除", link: "链接", pin: "固定时间范围", pinHelp: "地址改用绝对时间", range: "时间范围", now: "现在", custom: "自定义", from: "从", to: "到", apply: "应用",
    ranges: { "15m": "15 分", "1h": "1 小时", "6h": "6 小时", "24h": "24 小时", "7d": "7 天", all: "全部" },
    names: {
      since: "起始", until: "截止", updated_since: "变更自", updated_until: "变更至", status: "状态", stage: "阶段", topic: "主题", key: "键", source: "来源", subscription: "订阅方", delivery_status: "投递",
      cause: "原因", text: "文本", id: "编号", reason: "等待原因", response_code: "状态码", name: "姓名", action: "操作", role: "角色", object_kind: "类别", object: "对象",
    },
    help: { topic: "* 代表一个词，# 代表任意多个词。", cause: "如 timeout 或 http 500。", text: "在载荷或最近的错误中查找。", action: "如 message.retry。" },
    edit: (name, value) => `修改条件 ${name}：${value}`, drop: (name) => `移除条件 ${name}`,
  },
  state: {
    pending: "待处理", scheduled: "延时中", open: "进行中", open_failed: "进行中", done: "已完成", dead: "已放弃", rejected: "发送失败", cancelled: "已取消",
    waiting: "等待中", paused: "已暂停", key_blocked: "等待同键消息", circuit_open: "断路器打开", full: "等待空位",
    push_failed: "推送失败", handle_failed: "处理失败", awaiting_ack: "等待确认", delivered: "已送达", handled: "已处理",
  },
  reason: { key_blocked: "等待同一个键的前一条消息", paused: "已暂停", circuit_open: "断路器打开：接收方不可用，由到期的重试来探测", full: "接收方慢于消息到来", no_resources: "中继所在机器缺少资源" },
  step: { delayed: "延时", queued: "尚未接收", waiting: "等待", attempt: "尝试", interval: "下次尝试", awaiting_ack: "等待确认", acknowledged: "已确认", ended: "结束", attemptNo: (n) => `第 ${n} 次尝试` },
  sentence: {
    next: (when) => `下次尝试：${when}。`, notReached: (n, cause, next) => `${number(n)} 次未送达：${cause}。${next}`, notHandled: (n, cause, next) => `接收方失败 ${number(n)} 次：${cause}。${next}`,
    waits: (reason) => `等待：${reason}。`, awaits: (n) => `第 ${number(n)} 次尝试已送达，等待消费者确认。`, dead: (n, cause) => `${number(n)} 次后放弃：${cause}。解决原因后请重试。`,
    handled: (n) => (n > 1 ? `第 ${number(n)} 次尝试处理成功。` : "一次处理成功。"), delivered: (n) => (n > 1 ? `第 ${number(n)} 次尝试送达。` : "一次送达。"), cancelled: "已取消。", cancelledMessage: "这条消息已被人工取消，不会发送。",
    scheduled: (when) => `到期：${when}。`, pending: "已提交，尚未接收。", rejected: (_error, cause) => `无法发送：${cause}。请解决原因后重试。`,
    progress: (well, total) => (total === 0 ? "还没有订阅方。" : well === total ? (total === 1 ? "订阅方已处理。" : `全部 ${number(total)} 个订阅方已处理。`) : `${number(total)} 个订阅方中 ${number(well)} 个已处理。`),
  },
  cause: {
    unknown: "原因不明", dns: "域名无法解析", refused: "连接被拒绝", unreachable: "无法连接", timeout: "超时", reset: "连接提前关闭", tls: "TLS 失败", protocol: "答复不是 HTTP", egress: "地址不允许",
    "no address": "没有存活实例", settings: "设置无法使用", relay: "中继出错", unroutable: "没有绑定队列", nack: "中间件拒绝", "no confirm": "中间件未确认", "broker down": "中间件停机", "broker blocked": "中间件已满",
    "gave up": "已放弃", redirect: "重定向", "no ack": "未确认", "consumer said no": "消费者报告失败",
    "rejected: route": "没有匹配的订阅", "rejected: header": "头有误", "rejected: size": "过大", "rejected: destination": "目标有误", "rejected: database": "数据库拒绝", rejected: "无法发送",
  },
  causeCode: (code) => `答复 ${code}`,
  guide: (cause, kind) => causeGuides.zh(cause, kind),
  stages: {
    title: "阶段", all: "全部", needsPerson: "需人工处理",
    names: { send_failed: "发送失败", committed: "已提交", push_failed: "推送失败", handle_failed: "处理失败", delivered: "已送达", handled: "已处理", cancelled: "已取消" },
    help: { send_failed: "没有路由，或内容无法发送。24 小时内出现路由会自动接收。", committed: "会自动进行。", push_failed: "未到达接收方，会再次尝试。", handle_failed: "接收方逻辑失败，会再次尝试。", delivered: "中间件已确认，不等待消费者确认。", handled: "接收方逻辑成功。", cancelled: "人工取消。" },
  },
  overview: {
    title: "总览", needs: "需人工处理", nothing: "一切正常，无需处理。", counted: "统计于", more: (n) => `还有 ${number(n)} 项`, look: "查看", subscribe: "新建订阅", numbers: "数字", transport: "传输", well: "正常", unwell: "异常",
    relay: "中继", shards: (n) => `负责 ${number(n)} 个分片`, orphans: (n) => `它的 ${number(n)} 个分片等待其他中继接管`, silent: "没有信号，未正常退出；最近出现于", streaming: "持有复制槽", thisOne: "提供本页面", database: "数据库", schema: (n) => `表结构版本 ${n}`, skew: (by) => `时钟相差 ${by}`,
    conditions: { configuration: "配置", database: "数据库", identity: "身份", shards: "分片", writing: "写入", circuits: "断路器", memory: "内存", stream: "复制流", notify: "通知", poll: "轮询", broker: "RabbitMQ" },
    tiles: { received: "接收", accepted: "送达", perSecond: "/秒", latency: "提交到送达 p50", oldest: "最早未送达", nextDue: "下次到期", inFlight: "在途", waiting: "待处理", delayed: (n) => `${n} 条延时`, open: "进行中", dead: "已放弃", rejected: "发送失败", done: "已完成" },
  },
  condition: (one) => states[one.state](one.values ?? {}),
  needs: {
    not_well: (n) => (n.condition ? `${(zh.overview.conditions as Record<string, string>)[n.condition.name] ?? n.condition.name}：${zh.condition(n.condition)}` : n.target ?? ""), no_relay: () => "没有中继在运行：消息不会投递。",
    dead: (n) => `${n.subscription ? `${n.subscription}：` : ""}${amount(n)}已放弃${n.cause ? `，${nameCause(n.cause, zh.cause, zh.causeCode)}` : ""}`,
    rejected: (n) => `${amount(n)}发送失败${n.topic ? `：${n.topic} 没有路由` : ""}`,
    keys_blocked: (n) => `${n.subscription ? `${n.subscription}：` : ""}${number(n.count?.n ?? 0)} 个键受阻${n.behind ? `，后面有 ${number(n.behind.n)} 条消息` : ""}`,
    circuit_open: (n) => `${n.subscription ? `${n.subscription}：` : ""}断路器打开，${n.target ?? "接收方"} 不可用，由到期的重试来探测`,
  },
  chart: {
    title: "走势", span: "时间跨度", throughput: "吞吐", latency: "提交到送达", failures: "按原因分的失败", noFailures: "该时间段内没有失败。", otherCauses: (n) => `其他 ${number(n)} 种原因`, wait: "首次尝试前的等待", received: "接收", accepted: "送达", failed: "失败", time: "时间", asTable: "表格", asChart: "图表", empty: "该时间段内没有数据。",
    outstanding: "未完成", outstandingMessages: "未结束的消息", outstandingDeliveries: "未结束的投递", notCounted: "该时间段内没有计数。中继运行时每分钟计数一次。",
  },
  messages: {
    title: "消息", sorted: "最新在前，没有其他排序",
    columns: { status: "状态", created: "创建", topic: "主题", key: "键", source: "来源", subscribers: "订阅方", attempts: "尝试", error: "错误", id: "编号" },
    progress: (well, total) => `已处理 ${well}/${total}`, shown: (n) => `显示 ${number(n)} 条`, match: (n) => `匹配 ${n} 条`, searched: (to) => `已查到 ${to}`,
    selected: (n) => `选中 ${number(n)} 条`, onlyAt: (name) => `仅 ${name}`, copyIds: "复制编号", allThatMatch: "全部匹配的…", allMatching: (n) => (n ? `全部匹配（${n}）` : "全部匹配"), clear: "清除",
    lookedAt: (n, to) => `尚未找到：查看了 ${n} 条消息，直到 ${to}。`, searchOn: "继续查找", narrow: (names) => `加上条件会更快：${list(names)}。`,
    none: "没有匹配的消息。", noneRange: "此时间范围内没有。请放宽范围或去掉条件。", noneHelp: "请去掉条件。", widen: "查找全部时间", without: (name) => `不限${name}`, openPage: "打开页面",
  },
  actions: {
    title: "操作", retry: "重试", cancel: "取消", done: (what, n) => `${verbs[what]} ${number(n)} 条`,
    outcome: (what, well, bad) => `${verbs[what]} ${number(well)} 条，${number(bad)} 条未成`, andMore: (n) => `还有 ${number(n)} 条`,
  },
  effects: {
    retried: "已重试", replayed: "已重新发送", under_way: "正在发送", cancelled: "已取消", already_cancelled: "之前已取消", acknowledged: "已确认", skipped: "已跳过", not_found: "没有这条消息", not_ended: "尚未结束，会自动进行",
    ended_well: "已成功结束；强制重试会再次发送", has_changed: "期间已变化", no_delivery: "那里没有投递", not_dead: "未放弃，会自动进行", not_waiting: "没有在等待", locked: "正被修改，请再试", refused: "被拒绝",
  },
  message: {
    title: "消息", notFound: "没有这条消息。", notFoundWhy: "已完成的消息在 RELAY_RETENTION 之后会被清除。可查看审计，或按键搜索。", destination: "目标", previous: "前一条", next: "后一条",
    retryAll: "所有失败的", retryOne: "仅", retryEnded: "包括已收到的…", retryEndedHelp: "接收方会以同一编号再次收到", retryEndedOne: "再发给",
    acknowledge: "确认", ackHandled: "已处理", ackFailed: "失败", copyAsNew: "复制为新消息", copyNow: "发送副本", copied: "副本已发出。", copyHelp: "副本有自己的编号，头 relay-original-id 指向本消息。", copyTo: "留空：与本消息相同。否则填写 https://… 或 amqp:… 目标",
    cancelAll: "所有未结束的…", cancelOne: "仅", curlHelp: "本页数据", curlReceiver: "与接收方收到的相同", insertHelp: "同样的一行",
    cancelTitle: "取消消息", againTitle: "再次发送给已收到的接收方", again: "再次发送",
    cancelWarning: (name) => (name ? `发往 ${name} 的投递将被取消，其他订阅方不受影响。正在发送的仍可能到达。` : "所有未结束的投递将被取消，已处理的不变。正在发送的仍可能到达。"), againWarning: (name) => `${name || "每个订阅方"} 会以同一编号再次收到消息；会去重的接收方将忽略它。`,
    deliveries: "投递", subscriber: "订阅方", target: "目标", nextAttempt: "下次尝试", facts: "信息", seq: "序号", shard: "分片", size: "大小", deliverAt: "不早于", finished: "结束", original: "原消息", copies: "副本", auditLink: "操作记录",
  },
  attempts: { title: "尝试", n: "次", started: "开始", duration: "耗时", outcome: "结果", code: "状态码", error: "错误", answer: "答复", show: "显示", hide: "收起", none: "无", all: (n) => `显示全部 ${number(n)} 次` },
  timeline: { title: "时间线", asTable: "表格", asPicture: "图示", commit: "提交", now: "现在", notTaken: "消息已提交，尚未接收。", moreLanes: (n) => `还有 ${number(n)} 个订阅方 · 显示`, subscriber: "订阅方", what: "事件", after: "经过", lasted: "持续" },
  payload: {
    title: "载荷", formatted: "格式化", sent: "原样", hex: "十六进制", formattedHelp: "只加缩进，每个值保持原样", sentHelp: "逐字节相同", whitespace: "与原样只有空白不同。", notJSON: "不是 JSON，按原样显示。", notText: "不是文本，以十六进制显示。",
    first: (size) => `前 ${size}`, copy: "复制原文", download: "下载", empty: "空。", hidden: "载荷、头和答复对只读用户隐藏（RELAY_HIDE_PAYLOADS）。", hiddenShort: "隐藏", headers: "头", headersCut: "头过大，无法显示。", noHeaders: "该行没有自己的头。",
    added: "发送时添加", atSending: "尝试时的时间", ifSigned: "有密钥时", number: "第几次尝试，从 1 起",
  },
  bulk: {
    what: "做什么", title: { retry: "重试全部匹配的消息", cancel: "取消全部匹配的消息", replay: "把过去的消息发给一个订阅方" }, kinds: { retry: "重试", cancel: "取消", replay: "重放" },
    start: { retry: (n) => `重试 ${number(n)} 条`, cancel: (n) => `取消 ${number(n)} 条`, replay: (n) => `重放 ${number(n)} 条` },
    replayTo: "发给哪个订阅方", counting: "正在统计…", match: "条匹配", countsOn: "还有更多，任务会边做边找", takes: (time) => `大约需要 ${time}。`, at: "在", samples: "最新的几条", leftOut: "不处理：", everything: "全部",
    why: { ended_well: "已成功", not_ended: "会自动进行", cancelled: "已取消", pending: "尚未接收", not_asked_for: "不在要求内" },
    not: (kind, why) => `不能${kind}：${why}。`,
    obstacles: {
      replay: (names) => `重放不分消息的结果和去向，请先去掉条件：${list(names)}`, unknown: (names) => `任务不能按这些条件进行：${list(names)}。请去掉，或改用状态、投递或原因`,
      pending: "待处理的消息会自动进行", ended: "此条件下的消息已结束",
    },
    rate: "每秒最多消息数", rateHelp: "限速可保护接收方。", rateWrong: "大于 0 的数，或留空。", fast: "尽快", type: (n) => `数量很大：输入 ${n} 以继续`, started: "任务将在 5 秒后开始。", open: "打开", stop: "停止", stopped: "已停止。",
  },
  failures: {
    title: "失败", tabs: { dead: "已放弃", failing: "失败中", rejected: "发送失败" },
    lede: { dead: "已放弃，需人工处理。解决原因后整组重试。", failing: "会自动重试，也可以手动加快。", rejected: "没有路由，或内容无法发送。修正后请重试。" },
    everySubscriber: "所有订阅方", none: { dead: "没有放弃的消息。", failing: "没有失败的消息。", rejected: "全部可以发送。" }, lastCleared: "最近由谁重试或取消",
    noSubscriber: "没有订阅方", expand: (name, cause) => `展开 ${name}：${cause}`, classes: { push: "未到达接收方", handle: "接收方逻辑失败", send: "从未发送", unknown: "" }, since: "始于", last: "最近", trend: "该订阅方 24 小时失败数",
    retryFirst: "先重试一条", firstGoes: "正在重试最早的一条…", firstWell: "最早的一条已处理。", firstFailed: "最早的一条再次失败。", retryRest: "重试其余", retryAll: "全部重试", cancelAll: "全部取消", asList: "打开列表", addNote: "添加备注", editNote: "修改备注", note: "备注", noteHelp: "所有人可见。留空则删除。", pause: "暂停",
    whatToDo: "怎么办", patterns: "相似的错误", sampled: (n) => `取自最新 ${n} 条`, newest: "最新消息", atReceiver: "接收方最近的答复",
  },
  subscriptions: {
    title: "订阅", lede: "谁收到什么。没有匹配订阅的消息发往默认目标，否则无法发送。", create: "新建订阅", none: "还没有订阅。", noneHelp: "订阅规定哪些主题发往何处。没有订阅时，消息都发往 RELAY_DEFAULT_DESTINATION。", builtIn: "内置",
    columns: { name: "名称", state: "状态", topics: "主题", target: "目标", rate: "每秒", outstanding: "未完成", oldest: "最早", dead: "已放弃", spark: "1 小时" }, circuit: (intervals) => `由到期的重试来探测${intervals ? `，重试间隔为 ${intervals}` : ""}`, states: { active: "正常", paused: "已暂停", invalid: "无效", circuit: "断路器打开", dead: "有放弃的", failing: "失败中" },
  },
  subscription: {
    tabs: { deliveries: "投递", charts: "图表", settings: "设置", instances: "实例" }, columns: { next: "下次尝试", duration: "耗时", code: "状态码" },
    notFound: "没有这个订阅。", notFoundHelp: "也许已被删除，审计中有记录。", invalid: "无法向它发送：", pause: "暂停", resume: (n) => (n ? `恢复（${n} 条等待）` : "恢复"), pausedNow: "已暂停，消息在表中等待。", resumedNow: (n) => `已恢复，此前有 ${n} 条等待。`,
    test: "发送测试", testTitle: (name) => `向 ${name} 发送测试消息`, testHelp: "一条消息只发给这个订阅，结果显示在这里。", testSend: "发送", testAgain: "再发一条", replay: "重放…",
    remove: "删除", removeTitle: (name) => `删除 ${name}`, removeHelp: "此后提交的消息不再发往那里。已结束的投递在清理前保留。", removed: (name) => `已删除 ${name}。`, cancelOutstanding: (n) => `取消未完成的 ${n} 条`, typeName: (name) => `输入 ${name} 以继续`,
    noDeliveries: "没有匹配的投递。", noInstances: "一天内没有实例收到投递。", instance: "实例", lastSeen: "最近投递",
  },
  form: {
    sections: { where: "去向", pace: "节奏", retries: "重试", order: "顺序与放弃", ack: "确认", signing: "签名", headers: "头" },
    ledes: { where: "哪些消息，发往哪里。", pace: "同时多少。留空则按中继的变量。", retries: "尝试失败之后。", order: "同一个键的消息如何处理。", ack: "什么算已处理。", signing: "密钥只能添加和删除，不能查看。", headers: "随每条消息发送。值只能设置，不能查看。" },
    fields: {
      name: "名称", topics: "主题", target: "目标", paused: "暂停", ordered: "同一个键的消息依次投递", broadcast: "广播", ack: "确认方式", ackTimeout: "多久后重发", timeout: "单次尝试超时", concurrency: "并发尝试", rateLimit: "每秒尝试",
      maxAttempts: "最多尝试", maxHandleAttempts: "其中处理失败最多", backoff: "间隔", onDead: "放弃之后", addSecret: "新密钥", removeSecrets: "要删除的密钥", headers: "头",
    },
    help: {
      name: "不含冒号、斜杠和空白。", topics: "每行一个，或用逗号分隔。* 一个词，# 任意多个词。", target: "https://…、amqp:<交换机>/<路由键> 或 amqp:/<队列>。密码不显示；不改则保持原样。",
      ackTimeout: "如 30s 或 5m。", timeout: "如 10s。", concurrency: "", rateLimit: "", maxAttempts: "之后放弃，等待人工处理。", maxHandleAttempts: "1 表示不再自动重试。", backoff: "如 5s, 1m, 10m，最后一个重复。", addSecret: "成为最新的密钥；消息用全部密钥签名。",
    },
    errors: { name: "需要名称，不含冒号、斜杠和空白。", topics: "至少需要一个主题或模式。", target: "需要目标。", ackTimeout: "时长，如 30s。", timeout: "时长，如 10s。", concurrency: "不小于 1 的整数。", rateLimit: "大于 0 的数。", maxAttempts: "不小于 1 的整数。", maxHandleAttempts: "不小于 1 的整数。", backoff: "时长，如 5s, 1m, 10m。", addSecret: "" },
    matches: (n) => `匹配 24 小时内出现的 ${number(n)} 个主题：`, noLimit: "不限", ruler: (n, time) => (n === 1 ? "只尝试 1 次，失败即放弃" : `${number(n)} 次尝试，${time} 后放弃`), block: "放弃的消息阻塞其键，直到人工处理", broadcast: "广播：每个存活实例都收到", consumer: "由消费者稍后自行确认",
    removeSecret: (n) => `删除密钥 ${n + 1}${n === 0 ? "（最新）" : ""}`, headerName: "头名称", headerValue: "头的值", kept: "保持原样", dropHeader: "移除头", addHeader: "添加头",
    wrong: "有些值无法使用，见上。", undo: "撤销", review: "查看并保存", create: "创建", reviewTitle: "将有这些变化", createTitle: "创建此订阅", unset: "未设置", created: "已创建。", saved: (n) => `已保存，那里有 ${n} 条等待。`,
  },
  keys: {
    title: "受阻的键", lede: "同一个键的消息依次投递。前面的失败时，后面的等待，其他键照常。", key: "键", subscriber: "订阅方", waiting: "后面", head: "队首", since: "时长", retry: "重试队首", skip: "跳过放弃的队首", skipOne: "跳过",
    none: "没有键在等待。", noneHelp: "所有键都畅通。", skipTitle: (n) => (n === 1 ? "跳过此键放弃的队首" : `跳过 ${number(n)} 个键放弃的队首`), skipHelp: (n) => `仅在此订阅方取消放弃的投递，键继续前进：后面 ${number(n)} 条依次投递。`,
  },
  jobs: {
    title: "任务", one: "任务", lede: "对大量消息的批量操作。", states: { running: "运行中", stopped: "已停止", done: "已完成", failed: "失败" },
    columns: { state: "状态", what: "内容", progress: "进度", failed: "失败", rate: "速率", by: "由", reason: "原因", started: "开始" }, progress: "进度", none: "还没有任务。", noneHelp: "任务对条件匹配的全部消息重试、取消或重放。可从失败页或列表开始。",
    notFound: "没有这个任务。", changed: "已处理", remaining: "剩余", notCounted: "尚未统计", starts: "开始于", ends: "预计结束", finished: "结束", stop: "停止", resume: "继续", resumed: "已继续。", changeRate: "改变速率", goOn: "以此继续", again: "再来一次", list: "打开列表",
    results: "结果", onlyFailed: "仅失败", noResults: "还没有结果。", did: "成功", didNot: "未成", effect: "结果", when: "时间",
  },
  senders: {
    title: "发送方", lede: "提交消息的服务，以及这些消息的去向。", noName: "（未命名）", shareHelp: "最新 500 条消息中", unheardHelp: "没有订阅匹配的主题", none: "还没有消息注明来源。", noneHelp: "请设置 RELAY_SOURCE 或行的 source 列。", notSeen: "近来没有统计到此发送方的消息。", receives: "主题与接收方", receivers: "接收方", noSubscriber: "无订阅：新建",
    columns: { source: "来源", rate: "每秒", today: "24 小时", rejected: "发送失败", share: "已处理", oldest: "最早未处理", last: "最近", unheard: "无人接收的主题" },
  },
  audit: {
    title: "审计", lede: "谁对什么做了什么，结果如何；也包括登录和拒绝。", none: "没有记录。", noneHelp: "没有匹配的记录。请放宽时间范围或去掉条件。",
    columns: { at: "时间", who: "谁", what: "操作", object: "对象", result: "结果", reason: "原因", address: "来自" },
    result: auditResult,
    kinds: { message: "消息", subscription: "订阅", key: "键", job: "任务", failure: "失败", session: "会话", database: "数据库", viewer: "只读", operator: "操作员", cli: "命令行", none: "未登录" },
    actions: {
      "session.signin": "登录", "session.signout": "退出", "session.refused": "被拒绝", "session.token": "令牌被拒绝", "session.link": "生成登录链接", "message.retry": "重试消息", "message.cancel": "取消消息", "message.copy": "复制消息", "message.send": "插入消息",
      "delivery.retry": "重试投递", "delivery.cancel": "取消投递", "delivery.acknowledge": "确认投递", "subscription.set": "修改订阅", "subscription.delete": "删除订阅", "subscription.cancel": "取消订阅未完成的投递", "subscription.pause": "暂停订阅", "subscription.resume": "恢复订阅", "subscription.test": "发送测试",
      "key.retry": "重试键的队首", "key.skip": "跳过键的队首", "job.start": "启动任务", "job.stop": "停止任务", "job.resume": "继续任务", "job.rate": "设置任务速率", "database.adopt": "接管副本", "database.cancel": "取消副本中的消息", "failure.note": "写备注",
    },
  },
  signIn: {
    title: "登录", again: "会话已结束", againHelp: "登录后继续，下面的页面保持原样。", token: "令牌", tokenHelp: "令牌来自 RELAY_ADMIN_TOKEN 和 RELAY_VIEWER_TOKEN。", name: "你的姓名", nameHelp: "审计按你所写记录。", send: "登录",
    wrong: "令牌无效。", slow: (n) => `尝试过多：请在 ${duration(n * 1000)} 后再试。`, linkUsed: "此链接已用过或已过期，请用令牌登录。",
  },
  firstRun: {
    title: "第一条消息", lede: "应用提交一行，中继投递它。三步之后，本页会显示进展。", grant: "允许应用的角色插入", grantHelp: "一次即可，填写应用连接所用的角色名。",
    route: "规定消息去向", routeHelp: "建立订阅，或为未匹配的消息设置 RELAY_DEFAULT_DESTINATION。", hasDefault: (to) => `没有订阅时，消息发往 ${to}。订阅可改发别处。`, form: "改用表单",
    insert: "插入一行", insertHelp: "在应用自己的事务中，与业务数据一起。", send: "从这里发一条",
  },
  problems: {
    unknown: { what: "中继答复了本页面不认识的错误。", todo: "" }, console: { what: "页面出错。", todo: "请重新加载。详情有助于修复。" },
    unreachable: { what: "中继没有答复", todo: "请检查它是否运行，地址是否正确。" }, unauthorized: { what: "尚未登录。", todo: "请登录后再试。" }, forbidden: { what: "只读用户不能修改。", todo: "请用 RELAY_ADMIN_TOKEN 登录。" },
    conflict: { what: "期间已变化。", todo: "请再看一次再决定。" }, precondition_failed: { what: "期间已被他人修改。", todo: "现在左边是对方的值，右边是你的。再次保存即保留你的，或返回。" }, version_changed: { what: "期间已被他人修改。", todo: "现在左边是对方的值，右边是你的。再次保存即保留你的，或返回。" },
    too_many: { what: "请求过多。", todo: "请稍后再试。" }, slow_down: { what: "尝试过多。", todo: "请稍后再试。" }, unavailable: { what: "数据库没有答复", todo: "所示数据较旧。relay doctor 会说明问题。" },
    timeout: { what: "查找用时过长。", todo: "请缩小范围：状态、订阅方、键或更短的时间。" }, cross_origin: { what: "中继拒绝了看似来自其他网站的修改。", todo: "请在中继自己的地址打开控制台。" }, host: { what: "中继只在本机地址答复。", todo: "请使用 localhost，或设置 RELAY_ADMIN_TOKEN。" },
    hidden: { what: "载荷对只读用户隐藏。", todo: "用 RELAY_ADMIN_TOKEN 登录可查看。" },
    malformed: { what: "中继无法读懂该请求。", todo: "请重新加载页面后再试。" }, invalid: { what: "有的值不可用", todo: "请修正后再试。" }, unknown_parameter: { what: "中继不认识地址中的某个条件", todo: "请去掉它。" }, not_found: { what: "没有这个地址。", todo: "" },
    method: { what: "此地址不支持该操作。", todo: "" }, too_large: { what: "内容过大。", todo: "RELAY_MAX_PAYLOAD 是消息大小的上限。" }, media_type: { what: "中继只接受 JSON。", todo: "" }, not_acceptable: { what: "中继无法按要求的格式答复。", todo: "" },
    version_needed: { what: "请求缺少版本。", todo: "请重新加载页面后再试。" }, key_reused: { what: "该请求的标识已用于另一个请求。", todo: "请重新加载页面后再试。" }, internal: { what: "中继出错。", todo: "它的日志会说明原因。" },
    no_message: { what: "没有这条消息。", todo: "已完成的消息在 RELAY_RETENTION 之后会被清除。" }, no_subscription: { what: "没有这个订阅。", todo: "" }, no_key: { what: "这个键没有在那里等待。", todo: "" }, no_job: { what: "没有这个任务，或它已结束。", todo: "" },
    exists: { what: "已有使用此编号的消息。", todo: "" }, outstanding: { what: "还有未结束的投递。", todo: "请等待，或将其取消。" }, locked: { what: "另一个会话正在修改它。", todo: "请再试一次。" },
    search_limit: { what: "查找用时过长。", todo: "请缩小范围：状态、订阅方、键或更短的时间。" }, not_migrated: { what: "表结构版本与程序不符。", todo: "请运行 relay migrate。" }, denied: { what: "数据库拒绝了中继的角色。", todo: "relay doctor 会说明缺少什么。" },
  },
  help: {
    title: "快捷键", foot: "单字母快捷键可在设置中关闭，输入时不起作用。",
    groups: [
      { title: "前往", keys: [["g o", "总览"], ["g m", "消息"], ["g f", "失败"], ["g s", "订阅"], ["g e", "发送方"], ["g k", "受阻的键"], ["g j", "任务"], ["g a", "审计"], ["/", "搜索"]] },
      { title: "列表中", keys: [["j k", "下、上"], ["Enter", "打开"], ["o", "在新标签页打开"], ["Shift Enter", "在旁边打开"], ["x", "选择"], ["Shift x", "选择到此处"], ["*", "选择本页"], ["Esc", "清除选择"], ["[ ]", "上一页、下一页"], [".", "显示新消息"]] },
      { title: "操作", keys: [["e", "重试"], ["c", "取消"], ["y", "复制编号"], ["r", "暂停或继续刷新"], ["Shift r", "立即刷新"], ["t", "浅色或深色"], ["?", "本列表"]] },
    ],
  },
};
