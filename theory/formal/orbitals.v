(** Orbitals of the symmetry group of a partition, for all partitions of all finite sets.

    Label of the book        theorem here
    prop-three               orbitals_of_a_partition (any sizes), three_orbitals, number_of_orbitals
    (text after asm-data)    wreath_product_order: the group is S_C wr S_L, (C!)^L L! elements
    lem-commutant            commutant (any group), invariant_iff_levels, levels_unique
    fig-orbitals             product_orbitals, shift_orbitals

    wreath part is the group of all permutations g with "same set iff same set"; exchangeable G p p'
    says that some g in G takes the pair p to the pair p'; orbitals G is the set of its classes. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From Formal Require Import model.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GroupScope GRing.Theory.

Section Exchangeable.
Variables (T : finType) (G : {group {perm T}}).

Definition exchangeable (p p' : T * T) : bool :=
  [exists g in G, (g p.1 == p'.1) && (g p.2 == p'.2)].
Definition orbital (p : T * T) : {set T * T} := [set p' | exchangeable p p'].
Definition orbitals : {set {set T * T}} := [set orbital p | p : T * T].

Lemma exchangeableP p p' :
  reflect (exists2 g, g \in G & (g p.1, g p.2) = p') (exchangeable p p').
Proof.
apply: (iffP existsP) => [[g /andP[gG /andP[/eqP e1 /eqP e2]]] | [g gG <-]].
  by exists g => //; rewrite e1 e2 -surjective_pairing.
by exists g; rewrite gG !eqxx.
Qed.

(** Any function that names the orbitals counts them. *)
Lemma card_orbitals (K : finType) (kind : T * T -> K) :
  (forall p p', exchangeable p p' = (kind p == kind p')) ->
  #|orbitals| = #|[set kind p | p : T * T]|.
Proof.
move=> named; pose named_by k := [set p | kind p == k].
have -> : orbitals = [set named_by k | k in [set kind p | p : T * T]].
  rewrite -imset_comp; apply: eq_imset => p; apply/setP=> p'.
  by rewrite !inE named eq_sym.
rewrite card_in_imset // => _ _ /imsetP[p _ ->] /imsetP[p' _ ->] /setP/(_ p).
by rewrite !inE eqxx => /esym/eqP.
Qed.

(** lem-commutant: a matrix is invariant iff it is constant on every orbital. *)
Theorem commutant (K : Type) (M : T -> T -> K) :
  (forall g, g \in G -> forall i j, M (g i) (g j) = M i j) <->
  (forall p p', exchangeable p p' -> M p.1 p.2 = M p'.1 p'.2).
Proof.
split=> [inv p p' /exchangeableP[g gG <-] | const g gG i j]; first by rewrite /= inv.
by apply/esym/(const (i, j) (g i, g j)); apply/exchangeableP; exists g.
Qed.
End Exchangeable.

Section Wreath.
Variables (T I : finType) (part : T -> I).
Implicit Types (i j : T) (k : I) (g : {perm T}).

Definition wreath : {set {perm T}} :=
  [set g : {perm T} | [forall i, forall j, (part (g i) == part (g j)) == (part i == part j)]].

Lemma wreathP g :
  reflect (forall i j, (part (g i) == part (g j)) = (part i == part j)) (g \in wreath).
Proof.
rewrite inE; apply: (iffP forallP) => [keep i j | keep i]; last first.
  by apply/forallP=> j; rewrite keep.
by have /forallP/(_ j)/eqP := keep i.
Qed.

Lemma wreath_group_set : group_set wreath.
Proof.
apply/group_setP; split=> [|g h /wreathP gG /wreathP hG]; apply/wreathP=> i j.
  by rewrite !perm1.
by rewrite !permM hG gG.
Qed.
Canonical wreath_group := Group wreath_group_set.

(** Two moves: exchange two patches of one set, exchange two sets of one size. *)
Lemma tperm_wreath i j : part i = part j -> tperm i j \in wreath.
Proof.
move=> eqp; have same c : part (tperm i j c) = part c by case: tpermP => // ->.
by apply/wreathP=> a b; rewrite !same.
Qed.

Definition carry k k' i := nth i (enum (block part k')) (index i (enum (block part k))).
Definition exchange k k' i :=
  if part i == k then carry k k' i else if part i == k' then carry k' k i else i.

Lemma carry_part k k' i : #|block part k| = #|block part k'| -> part i = k ->
  part (carry k k' i) = k' /\ carry k' k (carry k k' i) = i.
Proof.
move=> same eqi; have i_in : i \in enum (block part k) by rewrite mem_enum in_block eqi.
have small : (index i (enum (block part k)) < size (enum (block part k')))%N.
  by rewrite -cardE -same cardE index_mem.
split; first by apply/eqP; rewrite -in_block -mem_enum mem_nth.
rewrite {1}/carry (set_nth_default i) ?index_uniq ?enum_uniq ?nth_index //.
by rewrite index_mem.
Qed.

Section SameSize.
Variables (k k' : I).
Hypothesis same : #|block part k| = #|block part k'|.

Lemma exchange_part i : part (exchange k k' i) = tperm k k' (part i).
Proof.
rewrite /exchange; case: eqP => [ek|nk]; first by rewrite (carry_part same ek).1 ek tpermL.
case: eqP => [ek'|nk']; first by rewrite (carry_part (esym same) ek').1 ek' tpermR.
by rewrite tpermD //; apply/eqP => e; [case: nk | case: nk'].
Qed.

Lemma exchange_inv : involutive (exchange k k').
Proof.
move=> i; rewrite {1}/exchange exchange_part /exchange.
have [ek|nk] := eqVneq (part i) k.
  have [to back] := carry_part same ek.
  rewrite ek tpermL ?eqxx; case: eqP => [e|_]; last by [].
  by move: back; rewrite e.
have [ek'|nk'] := eqVneq (part i) k'; last first.
  by rewrite tpermD ?(eq_sym _ (part i)) // (negbTE nk) (negbTE nk').
by rewrite ek' tpermR !eqxx (carry_part (esym same) ek').2.
Qed.

Definition exchange_perm := perm (inv_inj exchange_inv).

Lemma exchange_permE i : exchange_perm i = exchange k k' i.
Proof. by rewrite permE. Qed.

Lemma exchange_wreath : exchange_perm \in wreath.
Proof. by apply/wreathP=> i j; rewrite !exchange_permE !exchange_part (inj_eq perm_inj). Qed.
End SameSize.

(** prop-three for any sizes: what a pair keeps is whether i = j, whether the sets agree, and the
    sizes of the sets; pairs that agree in all four are exchangeable. *)
Definition kind (p : T * T) :=
  (p.1 == p.2, part p.1 == part p.2, #|block part (part p.1)|, #|block part (part p.2)|).

Lemma wreath_size g i : g \in wreath -> #|block part (part (g i))| = #|block part (part i)|.
Proof.
move=> gG; rewrite -(card_imset (mem (block part (part i))) (@perm_inj _ g)).
apply: eq_card => j; rewrite in_block -{1}(permKV g j) (wreathP _ gG).
apply/idP/imsetP => [e|[a]]; first by exists (g^-1 j); rewrite ?permKV ?in_block.
by rewrite in_block => e ->; rewrite permK.
Qed.

(** A patch goes wherever the size of its set allows, and the rest of the way with it fixed. *)
Lemma move_patch i i' : #|block part (part i)| = #|block part (part i')| ->
  exists2 g, g \in wreath & g i = i' /\
    forall c, part c != part i -> part c != part i' -> g c = c.
Proof.
move=> same; exists (exchange_perm same * tperm (exchange (part i) (part i') i) i').
  by rewrite groupM ?exchange_wreath ?tperm_wreath // (exchange_part same) tpermL.
rewrite permM exchange_permE tpermL; split=> // c nc nc'; rewrite permM exchange_permE.
have -> : exchange (part i) (part i') c = c by rewrite /exchange !ifN.
rewrite tpermD //; last by apply: contraNneq nc' => ->.
by apply: contraNneq nc' => <-; rewrite (exchange_part same) tpermL.
Qed.

Theorem orbitals_of_a_partition (p p' : T * T) :
  exchangeable wreath_group p p' = (kind p == kind p').
Proof.
case: p p' => [i j] [i' j']; apply/exchangeableP/eqP => [[g gG [<- <-]]|].
  by rewrite /kind /= (inj_eq perm_inj) (wreathP _ gG) !wreath_size.
case=> /= eqd eqp si sj; have [g gG [gi _]] := move_patch si.
have [eij|nij] := eqVneq i j.
  have /eqP ej : i' == j' by rewrite -eqd eij.
  by exists g; rewrite //= -eij gi -ej.
move: eqd eqp; rewrite (negbTE nij) => /esym nij'.
rewrite -(wreathP _ gG) gi; have gj : g j != i' by rewrite -gi (inj_eq perm_inj) eq_sym.
have sgj : #|block part (part (g j))| = #|block part (part j')| by rewrite wreath_size.
have [ep /esym/eqP ep'|np /esym np'] := eqVneq (part i') (part (g j)).
  exists (g * tperm (g j) j'); first by rewrite groupM ?tperm_wreath // -ep.
  by rewrite /= !permM gi tpermL tpermD // eq_sym nij'.
have [h hG [hj fixed]] := move_patch sgj.
by exists (g * h); rewrite ?groupM //= !permM gi hj fixed // ?np'.
Qed.

(** prop-three: three orbitals when all sets have one size; two if C = 1 or L = 1, one if both. *)
Section EqualSizes.
Variable C : nat.
Hypothesis eqC : equal part C.

Theorem three_orbitals (i j i' j' : T) :
  exchangeable wreath_group (i, j) (i', j') = 
  ((i == j) == (i' == j')) && ((part i == part j) == (part i' == part j')).
Proof. by rewrite orbitals_of_a_partition /kind !eqC !xpair_eqE !eqxx !andbT. Qed.

Theorem number_of_orbitals : (0 < #|T|)%N ->
  #|orbitals wreath_group| = (1 + (1 < C) + (1 < #|I|))%N.
Proof.
move=> /card_gt0P[i0 _]; pose name (p : T * T) := (p.1 == p.2, part p.1 == part p.2).
rewrite (@card_orbitals _ _ _ name) => [|[i j] [i' j']]; last first.
  by rewrite three_orbitals xpair_eqE.
have C_gt0 : (0 < C)%N by rewrite -(eqC (part i0)); apply/card_gt0P; exists i0; rewrite in_block.
set names := [set name p | p : T * T].
transitivity (\sum_(a : bool) \sum_(b : bool) ((a, b) \in names : nat))%N.
  rewrite pair_bigA /= -sum1_card big_mkcond.
  by apply: eq_bigr => -[a b] _; case: (_ \in names).
rewrite !big_bool.
have -> : (true, true) \in names by apply/imsetP; exists (i0, i0); rewrite /name ?eqxx.
have -> : ((true, false) \in names) = false.
  by apply/imsetP=> -[[i j] _ []] /esym/eqP->; rewrite eqxx.
have -> : ((false, true) \in names) = (1 < C)%N.
  apply/imsetP/idP => [[[i j] _ []] /esym/negbT nij /esym/eqP eqp|]; last first.
    rewrite -(eqC (part i0)) => /card_gt1P[i [j []]]; rewrite !in_block => /eqP ei /eqP ej nij.
    by exists (i, j); rewrite /name //= ei ej (negbTE nij) eqxx.
  by rewrite -(eqC (part i)); apply/card_gt1P; exists i, j; rewrite !in_block eqxx -eqp.
have -> : ((false, false) \in names) = (1 < #|I|)%N.
  apply/imsetP/card_gt1P => [[[i j] _ []] _ /esym/negbT np | [k [l [_ _ nkl]]]].
    by exists (part i), (part j).
  have [[i ei] [j ej]] := (block_has k eqC C_gt0, block_has l eqC C_gt0).
  exists (i, j) => //; rewrite /name /= ei ej (negbTE nkl).
  by rewrite (negbTE (contraNneq _ nkl)) // => e; rewrite -ei e ej.
by case: (1 < C)%N; case: (1 < #|I|)%N.
Qed.

(** lem-commutant for this group: invariant means three numbers, and they are unique. *)
Definition entry_at (K : Type) (d : K) (M : T -> T -> K) (name : bool * bool) : K :=
  if [pick p : T * T | (p.1 == p.2, part p.1 == part p.2) == name] is Some p then M p.1 p.2 else d.

Lemma invariant_levels (K : Type) (s g r : K) (M : T -> T -> K) :
  (forall h, h \in wreath -> forall i j, M (h i) (h j) = M i j) ->
  M =2 levels part (entry_at s M (true, true)) (entry_at g M (false, true))
                   (entry_at r M (false, false)).
Proof.
move=> /(@commutant _ wreath_group) const i j.
have at_ij d : entry_at d M (i == j, part i == part j) = M i j.
  rewrite /entry_at; case: pickP => [[i' j'] /eqP[ed ep]|/(_ (i, j))]; last by rewrite eqxx.
  by apply: (const (i', j') (i, j)); rewrite three_orbitals ed ep !eqxx.
rewrite /levels; move: (at_ij s) (at_ij g) (at_ij r).
case eij: (i == j); first by rewrite (eqP eij) eqxx.
by case: (part i == part j).
Qed.

Theorem invariant_iff_levels (K : Type) (d : K) (M : T -> T -> K) :
  (forall h, h \in wreath -> forall i j, M (h i) (h j) = M i j) <->
  (exists s g r : K, M =2 levels part s g r).
Proof.
split=> [/(invariant_levels d d d) eqM | [s [g [r eqM]]] h hG i j].
  by do 3 eexists; apply: eqM.
by rewrite !eqM /levels (inj_eq perm_inj) (wreathP _ hG).
Qed.

Theorem levels_unique (K : Type) (s g r s' g' r' : K) : (0 < #|T|)%N ->
  levels part s g r =2 levels part s' g' r' ->
  [/\ s = s', (1 < C)%N -> g = g' & (1 < #|I|)%N -> r = r'].
Proof.
move=> /card_gt0P[i0 _] same.
split=> [ | | /card_gt1P[k [l [_ _ nkl]]]]; first by have := same i0 i0; rewrite /levels eqxx.
  rewrite -(eqC (part i0)) => /card_gt1P[i [j []]]; rewrite !in_block => /eqP ei /eqP ej nij.
  by have := same i j; rewrite /levels (negbTE nij) ei ej eqxx.
have C_gt0 : (0 < C)%N by rewrite -(eqC (part i0)); apply/card_gt0P; exists i0; rewrite in_block.
have [[i ei] [j ej]] := (block_has k eqC C_gt0, block_has l eqC C_gt0).
have np : part i != part j by rewrite ei ej.
have nij : i != j by apply: contraNneq np => ->.
by have := same i j; rewrite /levels (negbTE nij) (negbTE np).
Qed.
End EqualSizes.
End Wreath.

Section Order.
Variables (L C : nat).
Hypothesis C_gt0 : (0 < C)%N.
Let T := ('I_L * 'I_C)%type.

Lemma blockwise_inj (s : {perm 'I_L}) (f : {ffun 'I_L -> {perm 'I_C}}) :
  injective (fun p : T => (s p.1, f p.1 p.2)).
Proof. by move=> [l c] [l' c'] /= [/perm_inj-> /perm_inj->]. Qed.
Definition blockwise (sf : {perm 'I_L} * {ffun 'I_L -> {perm 'I_C}}) : {perm T} :=
  perm (@blockwise_inj sf.1 sf.2).

(** The group is S_C wr S_L: one permutation of the sets, and one of the patches of each. *)
Theorem wreath_is_blockwise : wreath (fst : T -> 'I_L) = [set blockwise sf | sf : _].
Proof.
pose c0 : 'I_C := Ordinal C_gt0.
apply/setP=> g; apply/wreathP/imsetP => [keep|[[s f] _ ->] [l c] [l' c']]; last first.
  by rewrite !permE /= (inj_eq perm_inj).
have s_inj : injective (fun l => (g (l, c0)).1) by move=> l l' /eqP; rewrite keep => /eqP.
have row l c : (g (l, c)).1 = (g (l, c0)).1 by apply/eqP; rewrite keep.
have f_inj l : injective (fun c => (g (l, c)).2).
  move=> c c' e; suff [] : (l, c) = (l, c') by [].
  by apply: (@perm_inj _ g); apply: injective_projections; rewrite // !row.
exists (perm s_inj, [ffun l => perm (f_inj l)]) => //; apply/permP=> -[l c].
by rewrite permE /= ffunE !permE -(row l c) -surjective_pairing.
Qed.

Theorem wreath_product_order : #|wreath (fst : T -> 'I_L)| = (C`! ^ L * L`!)%N.
Proof.
rewrite wreath_is_blockwise card_imset => [|[s f] [s' f'] /permP eqsf].
  by rewrite card_prod card_ffun !card_Sn card_ord mulnC.
have at_lc l c : (s l, f l c) = (s' l, f' l c) by have := eqsf (l, c); rewrite !permE.
congr (_, _); first by apply/permP=> l; case: (at_lc l (Ordinal C_gt0)).
by apply/ffunP=> l; apply/permP=> c; case: (at_lc l c).
Qed.
End Order.

(** Two smaller groups.  Rows and columns of a grid permuted as wholes: four orbitals. *)
Lemma perm_two (T : finType) (a b a' b' : T) :
  (exists s : {perm T}, s a = a' /\ s b = b') <-> (a == b) = (a' == b').
Proof.
split=> [[s [<- <-]]|eqab]; first by rewrite (inj_eq perm_inj).
have [eab|nab] := eqVneq a b.
  by exists (tperm a a'); rewrite -eab tpermL; split=> //; apply/eqP; rewrite -eqab eab.
exists (tperm a a' * tperm (tperm a a' b) b'); rewrite !permM !tpermL; split=> //.
have nb : tperm a a' b != a' by rewrite -(inj_eq (@perm_inj _ (tperm a a'))) tpermK tpermR eq_sym.
by rewrite tpermD // eq_sym -eqab.
Qed.

Theorem product_orbitals (T U : finType) (i j i' j' : T * U) :
  (exists (s : {perm T}) (t : {perm U}),
     (s i.1, t i.2) = i' /\ (s j.1, t j.2) = j') <->
  (i.1 == j.1) = (i'.1 == j'.1) /\ (i.2 == j.2) = (i'.2 == j'.2).
Proof.
split=> [[s [t [<- <-]]]|[/perm_two[s [s1 s2]] /perm_two[t [t1 t2]]]].
  by rewrite !(inj_eq perm_inj).
by exists s, t; rewrite s1 s2 t1 t2 -!surjective_pairing.
Qed.

(** Shifts of a torus, or of any commutative group: an orbital is a displacement. *)
Theorem shift_orbitals (V : zmodType) (i j i' j' : V) :
  (exists s, i + s = i' /\ j + s = j')%R <-> (j - i = j' - i')%R.
Proof.
split=> [[s [<- <-]]|eqd]; first by rewrite opprD addrACA subrr addr0.
exists (i' - i)%R; rewrite addrC subrK; split=> //.
by rewrite addrCA eqd addrC subrK.
Qed.
