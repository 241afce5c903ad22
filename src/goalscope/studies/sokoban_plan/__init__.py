"""Does a Sokoban player plan, does the plan cause its moves, and what does thinking longer buy?"""
