"""What a cell is expected to cost, by hand."""

from benchmarks.plan import chat_tokens


def test_chat_prompts_of_a_block_share_what_stands_before_the_answers():
    assert chat_tokens(1, 20, 4) == 0  # nothing to ask about
    assert chat_tokens(2, 20, 4) == 40 + 4 + 20 + 4
    assert chat_tokens(21, 20, 4) == 40 + 20 * (4 + 20 + 4)
    assert chat_tokens(24, 20, 4) == chat_tokens(21, 20, 4) + chat_tokens(4, 20, 4)
