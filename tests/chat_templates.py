"""Chat templates in the manner of known families, for tests of what renders them."""

from __future__ import annotations

CHATML = """{% if tools %}
<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content ~ '\\n\\n' }}{% endif %}
# Tools
{% for tool in tools %}
{{ tool | tojson }}
{% endfor %}
<|im_end|>
{% endif %}
{% set ns = namespace(last=messages|length - 1, found=false) %}
{% for m in messages[::-1] %}{% set i = (messages|length - 1) - loop.index0 %}
{% if not ns.found and m.role == 'user' and not (m.content.startswith('<tool_response>') and m.content.endswith('</tool_response>')) %}
{% set ns.last = i %}{% set ns.found = true %}{% endif %}{% endfor %}
{%- for message in messages -%}
{% set content = message.content if message.content is string else '' %}
{%- if '</think>' in content %}{% set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{{ '<think>' + thought + '</think>' }}{% endif %}
{{- '<|im_start|>' + message.role + '\\n' + content|trim + (loop.last and 'LAST' or '') }}
{%- for call in message.tool_calls or [] %}{{ '\\n<tool_call>\\n{"name": "%s", "arguments": ' % call.function.name }}{{ call.function.arguments|tojson }}}{% endfor -%}
{{- '<|im_end|>\\n' }}
{%- endfor %}{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"""
LLAMA = """{{- bos_token }}
{%- if not date_string is defined %}{% if strftime_now is defined %}{% set date_string = 'the day' %}{% endif %}{% endif %}
{%- if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content']|trim %}{% set messages = messages[1:] %}
{%- else %}{% set system_message = '' %}{% endif %}
{{- '<|start|>system<|end|>\\n\\n' + date_string + system_message }}
{%- if tools is not none %}{% for t in tools %}{{- t | tojson(indent=4) }}{{- '\\n\\n' }}{% endfor %}{% endif %}
{%- for message in messages %}
{%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
{{- '<|start|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim + '<|eot|>' }}
{%- elif 'tool_calls' in message %}
{%- if not message.tool_calls|length == 1 %}{{- raise_exception('one call at a time') }}{% endif %}
{%- set call = message.tool_calls[0].function %}{{- '{"name": "' + call.name + '", "parameters": ' }}{{- call.arguments | tojson }}{{- '}<|eot|>' }}
{%- elif message.role == 'tool' %}{{- '<|start|>ipython<|end|>\\n\\n' }}
{%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}{% else %}{{- message.content }}{% endif %}{{- '<|eot|>' }}{% endif %}
{%- endfor %}"""
MISTRAL = """{%- if messages[0]["role"] == "system" %}{%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set loop_messages = messages %}{%- endif %}{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages if not (message.role == "tool" or message.tool_calls is defined) %}
{%- if (message["role"] == "user") != (ns.index % 2 == 0) %}{{- raise_exception("roles must alternate") }}{%- endif %}{%- set ns.index = ns.index + 1 %}{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
{%- if message["role"] == "user" %}{%- if tools is not none and (message == user_messages[-1]) %}[AVAILABLE_TOOLS][
{%- for tool in tools %}{%- set tool = tool.function %}{{- '{"type": "function", "function": {' }}
{%- for key, val in tool.items() if key != "return" %}{%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
{%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}{{- "}}" }}{%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}][/AVAILABLE_TOOLS]{%- endif %}
{%- if loop.last and system_message is defined %}{{- "[INST]" + system_message + "\\n\\n" + message["content"] + "[/INST]" }}{%- else %}{{- "[INST]" + message["content"] + "[/INST]" }}{%- endif %}
{%- elif message.tool_calls is defined and message.tool_calls is not none %}{{- "[TOOL_CALLS][" }}{%- for c in message.tool_calls %}{%- set out = c.function|tojson %}{{- out[:-1] }}
{%- if not c.id is defined or c.id|length != 9 %}{{- raise_exception("ids have nine characters") }}{%- endif %}{{- ', "id": "' + c.id + '"}' }}{%- endfor %}{{- "]" + eos_token }}
{%- elif message["role"] == "assistant" %}{{- " " + message["content"]|trim + eos_token}}
{%- elif message["role"] == "tool" %}{{- '[TOOL_RESULTS]{"content": ' + message.content|string + ', "call_id": "' + message.tool_call_id + '"}' }}
{%- else %}{{- raise_exception("only user, assistant, tool") }}{%- endif %}{%- endfor %}"""
DEEPSEEK = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{% set ns = namespace(is_first=false, is_tool=false, system_prompt='', is_first_sp=true) %}
{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}
{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}
{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<User>' + message['content']}}{%- endif %}
{%- if message['role'] == 'assistant' and 'tool_calls' in message %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls'] %}
{%- if not ns.is_first %}{{'<calls><call>' + tool['type'] + '<sep>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + (tool['function']['arguments'] | tojson) + '\\n' + '```'}}{%- set ns.is_first = true -%}
{%- else %}{{'\\n' + '<call>' + tool['type'] + '<sep>' + tool['function']['name']}}{%- endif %}{%- endfor %}{{'<end>'}}{%- endif %}
{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{%- if ns.is_tool %}{{'<outputs end>' + message['content']}}{%- set ns.is_tool = false -%}
{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<Assistant>' + content + '<eos>'}}{%- endif %}{%- endif %}
{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{{'<output>' + message['content'] + '</output>'}}{%- endif %}{%- endfor -%}"""
MINIMAX = """{%- macro visible(content) -%}{%- if content is string -%}{{ content }}{%- elif content is iterable and content is not mapping -%}
{%- for item in content -%}{%- if item is mapping and item.type == 'text' -%}{{- item.text }}{%- endif -%}{%- endfor -%}{%- else -%}{{- content }}{%- endif -%}{%- endmacro -%}
{%- macro schema(value, depth) -%}{%- if value is mapping -%}{{ '{' }}{%- for k, v in value|dictsort -%}{{ k }}:{{ schema(v, depth + 1) }}{%- if not loop.last -%},{%- endif -%}{%- endfor -%}{{ '}' }}
{%- elif value is iterable and value is not string -%}[{%- for v in value -%}{{ schema(v, depth + 1) }};{%- endfor -%}]{%- else -%}{{ value }}@{{ depth }}{%- endif -%}{%- endmacro -%}
{%- set ns = namespace(last_user=-1, calls=[]) -%}
{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last_user = loop.index0 -%}{%- endif -%}{%- endfor -%}
{%- for tool in tools or [] -%}<tool>{{ schema(tool.function, 0) }}</tool>{%- endfor -%}
{%- for message in messages -%}{%- if message.role == 'assistant' -%}
{%- set reasoning = '' %}{%- set content = visible(message.content) %}
{%- if message.reasoning_content is string %}{%- set reasoning = message.reasoning_content %}
{%- elif '</think>' in content %}{%- set reasoning = content.split('</think>')[0].strip('\\n').split('<think>')[-1].strip('\\n') %}{%- set content = content.split('</think>')[-1].strip('\\n') %}{%- endif %}
{%- if reasoning and loop.index0 > ns.last_user -%}{{ '<think>\\n' ~ reasoning ~ '\\n</think>\\n\\n' }}{%- endif -%}{{- ']~b]ai' ~ '\\n' }}{{ content }}
{%- for call in message.tool_calls or [] -%}{%- if call.function -%}{%- set call = call.function -%}{%- endif -%}{%- set ns.calls = ns.calls + [call.name] -%}
{{- '<invoke name="' + call.name + '">' }}{%- for k, v in call.arguments.items() -%}<parameter name="{{ k }}">{{ v | tojson(ensure_ascii=False) if v is not string else v }}</parameter>{%- endfor -%}</invoke>{%- endfor -%}
{%- else -%}{{- ']~b]' ~ message.role ~ '\\n' ~ visible(message.content) }}{%- endif -%}{{- '[e~[\\n' }}{%- endfor -%}{{ ns.calls|join(', ') }}"""
GENERATION = """{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<eos>{% endgeneration %}{% else %}<{{ m.role|upper|replace('U', 'u') }}>{{ m.content.replace('is', 'was') }}
{% endif %}{% endfor %}"""
LOOPS = """{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}{{ loop.cycle('a', 'b') }}{{ m['content'][:9]|capitalize|indent(2) }}
{% else %}none{% endfor %}{% for n in range(3) %}{{ '%02d'|format(n) }}{{ n * 2 - 1 }}{{ 'ab' * n }}{{ (2, n)|join('-') }}{% endfor %}
{% set text %}{% for role, group in messages|groupby('role') %}{{ role }}{{ group|map(attribute='content')|map('length')|list }}{% endfor %}{% endset %}{{ text|upper }}
{% macro quoted(x) %}"{{ caller() if caller else x }}"{% endmacro %}{% call quoted(1) %}inner{% endcall %}{{ quoted('o') }}{{ messages|first is mapping }}{{ {'a': [1, (2, 3)]}|string }}
{{ 'b' in ['a', 'b'] and 'x' not in 'abc' and 2 < 3 <= 3 }}{{ messages|selectattr('role', 'in', ['user', 'tool'])|list|length }}{{ '{0}-{a:>5}{{x: {1}}}'.format('p', 1234567, a='q') }}{{ '**%s** {"n": 1234567, "a": {"%5.1f%d' % ('b', 2, 1234567) }}{{ '(see) 123%%%3d'|format(7) }}{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}"""
TEMPLATES = {"chatml": CHATML, "llama": LLAMA, "mistral": MISTRAL, "deepseek": DEEPSEEK, "minimax": MINIMAX, "generation": GENERATION, "loops": LOOPS}
